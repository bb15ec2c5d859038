import { readFile } from "node:fs/promises";
import { Readable } from "node:stream";
import type { FastifyInstance, FastifyReply, FastifyRequest } from "fastify";
import { AssistantError, presentable } from "../../../core/errors.ts";
import type { JsonSchema } from "../../../core/schema.ts";
import type { BuiltPipeline } from "../../../pipelines/pipeline.ts";
import type { Pipelines } from "../../../pipelines/pipelines.ts";
import type { StageConversations } from "../../../pipelines/stage.ts";
import { frameOf } from "../../../pipelines/writers.ts";
import { invalid, isObject, shown } from "../../canonical/rules.ts";
import type { Authorizer } from "../../front/authorize.ts";
import { callHeaders } from "../../front/call-headers.ts";
import type { RouteDescription } from "../../front/describe.ts";
import { cancellationOf } from "../../front/disconnect.ts";

export interface ExtrasOptions {
  readonly pipelines: Pipelines;
  readonly authorizer: Pick<Authorizer, "admit">;
  /** The pipeline of a request, if its key may use it. */
  readonly find: (request: FastifyRequest) => BuiltPipeline;
}

type Fields = Readonly<Record<string, unknown>>;

const DEFAULT_LIMIT = 20;
const MAX_LIMIT = 100;
const LINES = "application/x-ndjson";

/** Requests of this API other than runs: a greeting, speaking a text, and the conversations in Dify. */
export function registerExtras(app: FastifyInstance, base: string, options: ExtrasOptions): void {
  app.post(`${base}/awake`, { config: { describe: described.awake } }, (request, reply) =>
    awake(request, reply, options),
  );
  app.get(`${base}/gpttest/:text`, { config: { describe: described.gpttest } }, async (request, reply) => {
    const { text } = request.params as { readonly text: string };
    return await reply.type("audio/wav").send(await spoken(text, null, request, options));
  });
  const add = (
    method: "GET" | "POST" | "DELETE",
    path: string,
    summary: RouteDescription,
    answer: (kept: StageConversations, user: string, fields: Fields) => Promise<unknown>,
  ): void => {
    app.route({
      ...{ method, url: `${base}${path}`, config: { describe: summary } },
      handler: async (request) => {
        const fields = (method === "GET" ? request.query : request.body) as unknown;
        if (!isObject(fields))
          throw new AssistantError("invalid_request", `The body must be an object; found ${shown(fields)}.`);
        const user = textIn(fields, "user");
        return { status: "success", data: await answer(conversationsOf(options.find(request)), user, fields) };
      },
    });
  };
  add("GET", "/messages", described.messages, (kept, user, fields) => kept.messages(user, idIn(fields)));
  add("GET", "/messages/suggested", described.suggested, (kept, user, fields) => kept.suggested(user, idIn(fields)));
  add("GET", "/conversations", described.conversations, (kept, user, fields) =>
    kept.list(user, fields["last_id"] ? idIn(fields, "last_id") : null, limitIn(fields)),
  );
  add("POST", "/conversations/rename", described.rename, (kept, user, fields) =>
    kept.rename(user, idIn(fields), textIn(fields, "name")),
  );
  add("DELETE", "/conversations/delete", described.delete, (kept, user, fields) => kept.delete(user, idIn(fields)));
}

async function awake(request: FastifyRequest, reply: FastifyReply, options: ExtrasOptions): Promise<unknown> {
  const body: unknown = request.body;
  if (!isObject(body)) throw new AssistantError("invalid_request", `The body must be an object; found ${shown(body)}.`);
  textIn(body, "user");
  const voice = textIn(body, "voice");
  const { spec } = options.find(request);
  const greeting = Object.hasOwn(spec.awake, voice) ? spec.awake[voice] : undefined;
  if (greeting === undefined) {
    const voices = Object.keys(spec.awake).map((each) => JSON.stringify(each));
    const expected =
      voices.length === 0 ? "the pipeline's file has no `[awake.VOICE]`" : `expected ${voices.join(", ")}`;
    throw invalid("voice", `"voice": ${expected}; found ${shown(voice)}.`);
  }
  const { text, audio } = greeting;
  const said = { think: "", response: text, conversation_id: "", message_id: "", Is_End: true };
  const lines = async function* (): AsyncGenerator<string> {
    yield lineOf({ type: "text", chunk: JSON.stringify(said) });
    try {
      const file = audio === null ? await spoken(text, voice, request, options) : await readFile(audio);
      yield lineOf(frameOf({ type: "audio", chunk: file }));
    } catch (error) {
      yield lineOf({ type: "error", chunk: presentable(error).message });
    }
  };
  return await reply.type(LINES).send(Readable.from(lines()));
}

const lineOf = (frame: object): string => `${JSON.stringify(frame)}\n`;

/** A text, spoken by the pipeline's first speech stage. */
async function spoken(
  text: string,
  voice: string | null,
  request: FastifyRequest,
  { pipelines, authorizer, find }: ExtrasOptions,
): Promise<Buffer> {
  const { spec, stages } = find(request);
  const Entry = stages.findIndex(({ accepts, emits }) => accepts === "text" && emits === "audio");
  const stage = stages[Entry];
  if (stage === undefined) throw lacks(spec.name, "speaks, such as `speech`");
  const { caller } = request.identity;
  using cancellation = cancellationOf(request.raw.socket);
  const ended = authorizer.admit(request.identity);
  try {
    const frames = await pipelines.ask({
      ...callHeaders(request.headers, false, caller.priority),
      ...{ name: spec.name, caller, cancellation, route: request.routeOptions.url ?? "/gpttest" },
      request: { user: "", Input: "", text, Entry, ...(voice === null ? {} : { [stage.section]: { voice } }) },
    });
    const sound = frames.find(({ type }) => type === "audio/wav");
    if (sound === undefined) throw new AssistantError("stage_failed", `The stage "${stage.name}" produced no audio.`);
    return Buffer.from(String(sound.chunk), "base64");
  } finally {
    ended?.();
  }
}

function conversationsOf({ spec, stages }: BuiltPipeline): StageConversations {
  const kept = stages.find(({ conversations }) => conversations !== undefined)?.conversations;
  if (kept === undefined) throw lacks(spec.name, "keeps conversations, such as `dify`");
  return kept;
}

const lacks = (name: string, what: string): AssistantError =>
  new AssistantError("unsupported_capability", `The pipeline "${name}" has no stage that ${what}.`, {
    remedy: "docs/pipelines.md lists the stages.",
  });

function textIn(fields: Fields, name: string): string {
  const value = fields[name];
  if (typeof value === "string" && value !== "") return value;
  throw invalid(name, `"${name}" must be a non-empty string; found ${shown(value)}.`);
}

/** It becomes part of a path. */
function idIn(fields: Fields, name = "conversation_id"): string {
  const id = textIn(fields, name);
  if (/^[A-Za-z0-9_-]{1,64}$/.test(id)) return id;
  throw invalid(name, `"${name}" must be an id of letters, digits, "_" and "-"; found ${shown(id)}.`);
}

function limitIn({ limit = String(DEFAULT_LIMIT) }: Fields): number {
  const number = Number(limit);
  if (Number.isInteger(number) && number >= 1 && number <= MAX_LIMIT) return number;
  throw invalid("limit", `"limit" must be an integer from 1 to ${MAX_LIMIT}; found ${shown(limit)}.`);
}

const string: JsonSchema = { type: "string" };
const fieldsOf = (names: readonly string[], more: Readonly<Record<string, JsonSchema>> = {}): JsonSchema => ({
  type: "object",
  required: names,
  properties: { ...Object.fromEntries(names.map((name) => [name, string])), ...more },
});
const answers = {
  "application/json": { type: "object", properties: { status: { const: "success" }, data: {} } },
};
const ONE = ["user", "conversation_id"];

const described = {
  awake: {
    summary: "Greet in a voice: a line of text and a line of audio",
    body: fieldsOf(["user", "voice"]),
    answers: { [LINES]: fieldsOf(["type", "chunk"]) },
  },
  gpttest: { summary: "Speak a text", answers: { "audio/wav": { type: "string", format: "binary" } } },
  messages: { summary: "List the messages of a conversation in Dify", query: fieldsOf(ONE), answers },
  suggested: { summary: "List questions that Dify suggests after a conversation", query: fieldsOf(ONE), answers },
  conversations: {
    summary: "List the conversations of a user in Dify",
    query: fieldsOf(["user"], { last_id: string, limit: { type: "integer", minimum: 1, maximum: MAX_LIMIT } }),
    answers,
  },
  rename: { summary: "Rename a conversation in Dify", body: fieldsOf([...ONE, "name"]), answers },
  delete: { summary: "Delete a conversation in Dify", body: fieldsOf(ONE), answers },
} as const satisfies Readonly<Record<string, RouteDescription>>;
