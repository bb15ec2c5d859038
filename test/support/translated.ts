import type { Provider } from "../../src/core/provider.ts";
import { SendFailure, type Sending } from "../../src/core/upstream.ts";
import type { Connector, ProviderConnection } from "../../src/upstreams/connector.ts";
import { ProviderClient } from "../../src/upstreams/http/client.ts";
import { connectAnthropic, connectGoogle } from "../../src/upstreams/translate/connect.ts";
import { type ProviderRequest, type ProviderScript, providerServer } from "../fakes/dialects/server.ts";
import { chatCall, RecordingSink, sendingOf } from "./calls.ts";
import { schemaErrors } from "./openai-schema.ts";
import { testProvider } from "./providers.ts";

export type DialectName = "anthropic" | "google";

const connectors: Readonly<Record<DialectName, Connector>> = { anthropic: connectAnthropic, google: connectGoogle };
const MODELS: Readonly<Record<DialectName, string>> = { anthropic: "claude-sonnet-4-5", google: "gemini-2.5-flash" };

export const HELLO = [{ role: "user", content: "Name three rivers." }];

/** Fields of a chat request, with messages where it has none. */
export type Fields = Readonly<Record<string, unknown>>;

export interface AskOptions {
  /** What the provider calls the model. */
  readonly model?: string;
  readonly streamed?: boolean;
  readonly provider?: Partial<Provider>;
  readonly sending?: Partial<Sending>;
  readonly sink?: RecordingSink;
  /** Instead of connections of its own. */
  readonly fetch?: typeof globalThis.fetch;
}

/** A request as its sender sees it. */
export function chatSending(
  fields: Fields,
  { streamed = true, sending = {} }: AskOptions = {},
): ReturnType<typeof sendingOf> {
  const json = { model: "river", messages: HELLO, ...fields };
  return sendingOf(chatCall({ streamed, body: { json, bytes: Buffer.from(JSON.stringify(json)) } }), sending);
}

export function connected(
  dialect: DialectName,
  baseUrl: string,
  { model = MODELS[dialect], provider: changes = {}, fetch }: AskOptions = {},
): ProviderConnection & Disposable {
  const provider = testProvider(baseUrl, { type: dialect, apiKey: "secret-key", ...changes });
  const client = new ProviderClient(provider);
  const used = fetch === undefined ? client : ({ provider, fetch } as ProviderClient);
  const connection = connectors[dialect]({ provider, client: used, nodeId: "here", modelName: () => model });
  return { ...connection, [Symbol.dispose]: () => client.close() };
}

/** What came of one request. */
export interface Asked {
  readonly sink: RecordingSink;
  /** Null: the provider was not asked. */
  readonly request: ProviderRequest | null;
  /** Null: it was answered. */
  readonly failure: SendFailure | null;
  /** The data of its events, parsed; of an answer in one piece, that answer. */
  readonly events: readonly unknown[];
}

/** Sends a chat request to a provider which plays the script. */
export async function ask(
  dialect: DialectName,
  script: ProviderScript,
  fields: Fields = {},
  options: AskOptions = {},
): Promise<Asked> {
  await using server = await providerServer(script);
  using connection = connected(dialect, server.url, options);
  const sink = options.sink ?? new RecordingSink();
  let failure: SendFailure | null = null;
  try {
    await connection.upstream.send(chatSending(fields, options), sink);
  } catch (error) {
    if (!(error instanceof SendFailure)) throw error;
    failure = error;
  }
  const events = options.streamed === false ? (sink.text === "" ? [] : [JSON.parse(sink.text)]) : eventsOf(sink.text);
  const schema = `CreateChatCompletion${options.streamed === false ? "" : "Stream"}Response`;
  const wrong = events.filter(isAnswer).flatMap((event) => schemaErrors(schema, event).filter(isWrong));
  if (wrong.length > 0) throw new Error(`not as OpenAI's API has it: ${wrong.join("; ")}`);
  return { sink, failure, request: server.requests[0] ?? null, events };
}

const isAnswer = (event: unknown): boolean => typeof event === "object" && event !== null && !("error" in event);
/** Like the engines here, answers leave out what is null. */
const isWrong = (error: string): boolean => !/must have required property '(?:logprobs|refusal)'/.test(error);

export const eventsOf = (text: string): unknown[] =>
  [...text.matchAll(/^data: (.*)$/gm)].map(([, data = ""]) => (data === "[DONE]" ? data : JSON.parse(data)));

interface ChunkLike {
  readonly choices: readonly { readonly delta: unknown; readonly finish_reason: string | null }[];
}

/** The deltas of a streamed answer, and how it finished. */
export function deltasOf(events: readonly unknown[]): unknown[] {
  const choices = events.flatMap((event) => (event as Partial<ChunkLike>).choices ?? []);
  return choices.map(({ delta, finish_reason: reason }) => reason ?? delta);
}

export const WEATHER = {
  type: "function",
  function: {
    name: "get_weather",
    description: "Weather of a city.",
    parameters: {
      type: "object",
      properties: { city: { type: "string" } },
      required: ["city"],
      additionalProperties: false,
    },
  },
};
