import { Aggregate } from "../answer/aggregate.ts";
import { brokenOff } from "../http/failure.ts";
import { asksUsage, withSettings } from "../openai-body.ts";
import type { TranslatedCall, Translation } from "./call.ts";
import { type Chunk, ChunkWriter } from "./chunks.ts";
import { isUnknownEvent } from "./failure.ts";
import { callOptions } from "./options.ts";
import type { CallOptions } from "./sdk.ts";
import { refusedFields, refuseWarnings } from "./warnings.ts";

/** How long a provider may keep the connection open after the end of an answer, so that it can be reused. */
const END_GRACE_MS = 1_000;

/** Throws `invalid_request` for what the model does not support; nothing has been sent then. */
export async function chatCall(translation: Translation): Promise<TranslatedCall> {
  const { sending, dialect, service, asked, fetch } = translation;
  const { providerModel } = asked;
  const { call, model } = sending;
  const shaped = await shapedOptions(translation);
  const writer = new ChunkWriter({ asked, id: `chatcmpl-${call.id}`, created: Math.floor(Date.now() / 1000) });

  async function* chunks(signal: AbortSignal): AsyncGenerator<Chunk> {
    const end = new AbortController();
    let grace: NodeJS.Timeout | null = null;
    try {
      const abortSignal = AbortSignal.any([signal, end.signal]);
      for await (const part of await service.stream(providerModel, { ...shaped, abortSignal }, fetch)) {
        if (writer.facts !== null) continue;
        if (part.type !== "error") yield* writer.take(part);
        else if (!isUnknownEvent(part.error, dialect)) throw part.error;
        if (writer.facts !== null) grace = setTimeout(() => end.abort(), END_GRACE_MS);
      }
    } catch (error) {
      if (writer.facts === null) throw error;
    } finally {
      if (grace !== null) clearTimeout(grace);
    }
    if (writer.facts === null) throw brokenOff(asked.provider);
  }

  async function* events(signal: AbortSignal): AsyncGenerator<Buffer> {
    for await (const chunk of chunks(signal)) yield eventOf(JSON.stringify(chunk));
    if (writer.usage !== null && (asksUsage(call) || model.includeUsage)) yield eventOf(JSON.stringify(writer.usage));
    yield eventOf("[DONE]");
  }

  async function* whole(signal: AbortSignal): AsyncGenerator<Buffer> {
    const aggregate = new Aggregate("chat");
    for await (const chunk of chunks(signal)) aggregate.add(chunk);
    if (writer.usage !== null) aggregate.add(writer.usage);
    yield Buffer.from(JSON.stringify(aggregate.result()));
  }

  return { answer: call.streamed ? events : whole, facts: () => writer.facts };
}

/**
 * The request to send. A setting of the model's file that conflicts with this request is omitted; the client's own
 * fields are not.
 */
async function shapedOptions({ sending, dialect, service, asked }: Translation): Promise<CallOptions> {
  const { call, model } = sending;
  const own = call.body.json;
  let json = withSettings(call, model);
  for (;;) {
    const { options, extras } = callOptions(json, dialect, asked);
    const shaped = service.shape(asked.providerModel, options, extras);
    const warnings = await service.warnings(asked.providerModel, shaped);
    const added = refusedFields(warnings, shaped).filter((name) => (own[name] ?? null) === null && name in json);
    if (added.length === 0) {
      refuseWarnings(warnings, shaped, asked);
      return shaped;
    }
    json = Object.fromEntries(Object.entries(json).filter(([name]) => !added.includes(name)));
  }
}

const eventOf = (data: string): Buffer => Buffer.from(`data: ${data}\n\n`);
