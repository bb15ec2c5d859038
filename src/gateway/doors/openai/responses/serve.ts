import type { Cancellation } from "../../../../core/cancellation.ts";
import type { AnswerSink, InferenceCall, JsonObject } from "../../../../core/inference.ts";
import { resolveModel } from "../../../../inference/resolve.ts";
import { SSE_HEADERS } from "../../../../upstreams/answer/receivers.ts";
import { modelOf, parseBody, withoutCapability } from "../../../canonical/decode.ts";
import { serviceTiers } from "../../../canonical/field-table.ts";
import { invalid } from "../../../canonical/rules.ts";
import type { DecodedBody } from "../../../front/door.ts";
import { type ConversationPorts, continuationOf } from "../conversations/ports.ts";
import { accept } from "./background.ts";
import { type KeepingPorts, kept } from "./keeping.ts";
import { chatOf, newAnswer } from "./plan.ts";
import { readRequest } from "./request.ts";
import { responseSink } from "./sink.ts";
import { runFitting } from "./truncation.ts";

export interface ResponsePorts extends ConversationPorts, KeepingPorts {}

/** `POST /v1/responses`. Throws `empty_body`, `invalid_json` or `invalid_request`. */
export function decodeResponse(bytes: Buffer, ports: ResponsePorts): DecodedBody {
  const asked = withoutCapability(parseBody(bytes));
  const { body } = asked;
  const { json } = body;
  const priority = serviceTiers[String(json["service_tier"])] ?? null;
  return {
    ...asked,
    model: modelOf(json),
    prompt: {},
    streamed: json["stream"] === true,
    maxTokens: null,
    ...(priority === null ? {} : { priority }),
    answer: (call, client) => serve(ports, json, call, client),
  };
}

async function serve(ports: ResponsePorts, json: JsonObject, asked: InferenceCall, client: AnswerSink): Promise<void> {
  const { inference, directory, responses } = ports;
  const { tenant } = asked.caller;
  const { conversation = null } = json;
  const continuation = conversation === null ? null : await continuationOf(asked, conversation, ports);
  const given = continuation?.call ?? asked;
  const request = await readRequest(json, responses?.historyOf(tenant) ?? null, continuation?.history ?? null);
  const { streamed, isBackground, isStored } = request;
  if (isStored || isBackground) await responses?.requireRoom(tenant);
  const call: InferenceCall = { ...given, ...chatOf(request) };
  if (isBackground) {
    if (responses?.queue == null) throw invalid("background", 'There is no "background" here.');
    // Errors must be reported now: there is no client to see them later.
    const { name } = resolveModel(directory, call);
    const live = streamed ? responses.live(request.id) : null;
    const { response } = await accept(responses, request, call, name);
    if (live === null) return sendJson(client, response);
    return await relay(responses.follow(tenant, request.id, live, 0), client, given.cancellation);
  }
  const events: string[] = [];
  const answer = newAnswer(request, given.selector.model, Math.floor(Date.now() / 1000), (text) => events.push(text));
  const taken = (): string => events.splice(0).join("");
  const keep = (): Promise<void> => kept(ports, tenant, request, answer);
  await runFitting(inference, call, request, responseSink(client, { answer, streamed, taken, keep }));
}

const OK = 200;

function sendJson(client: AnswerSink, value: object): void {
  const body = Buffer.from(JSON.stringify(value));
  client.head(OK, ["Content-Type", "application/json"], body.length);
  client.end(body);
}

/** Sends events as they arrive. A disconnect only ends this. */
async function relay(events: AsyncGenerator<string>, client: AnswerSink, gone: Cancellation): Promise<void> {
  const left = Promise.withResolvers<void>();
  gone.onCancel = () => left.resolve();
  client.head(OK, ["Content-Type", "text/event-stream", ...SSE_HEADERS]);
  for (const isGone = left.promise.then(() => null); !gone.cancelled; ) {
    const next = await Promise.race([events.next(), isGone]);
    if (next === null || next.done === true) break;
    if (client.chunk(Buffer.from(next.value))) continue;
    await Promise.race([new Promise<void>((resolve) => client.onDrain(resolve)), isGone]);
  }
  gone.onCancel = null;
  void events.return(undefined);
  if (gone.cancelled) client.abort();
  else client.end();
}
