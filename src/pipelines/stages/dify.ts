import type { StageSettings } from "../../config/schema/stages.ts";
import { AssistantError } from "../../core/errors.ts";
import { valueAt } from "../path.ts";
import { type ReadVariable, secretOf } from "../secrets.ts";
import { Sentences } from "../sentences.ts";
import {
  answerFrom,
  failed,
  jsonFrom,
  requireAnswer,
  requireHeaders,
  type ServiceRequest,
  timeoutMsOf,
  valuesFrom,
} from "../service.ts";
import type { Stage, StageConversations, StageOutput } from "../stage.ts";

/** The parts of Dify's events that are read. */
interface DifyEvent {
  readonly event?: string;
  readonly answer?: string;
  readonly conversation_id?: string;
  readonly message_id?: string;
  readonly code?: string;
  readonly message?: string;
}

const SERVICE = "Dify";
const ANSWERS: ReadonlySet<string> = new Set(["message", "agent_message"]);

/** Calls an application of Dify, with its chat API. The client receives the ids for continuing in a frame `info`. */
export function difyStage(settings: StageSettings["dify"], read: ReadVariable): Stage {
  const { api_key_env: variable, inputs = {}, split = true } = settings;
  const base = settings.url.replace(/\/+$/, "");
  const key = variable === undefined ? null : secretOf(read, variable, "api_key_env");
  const headers: Record<string, string> = key === null ? {} : { authorization: `Bearer ${key}` };
  requireHeaders(headers, "api_key_env");

  return {
    conversations: difyConversations({ service: SERVICE, headers, timeoutMs: timeoutMsOf(settings) }, base),
    accepts: "text",
    emits: "text",
    async *run(input, { request, options, user, signal }) {
      const given = options["inputs"] ?? {};
      if (typeof given !== "object" || Array.isArray(given))
        throw new AssistantError("invalid_request", '"LLM.inputs" must be an object.', { param: "LLM.inputs" });
      let conversation = textOf(request["conversation_id"]);
      for await (const query of input) {
        const body = {
          inputs: { ...inputs, ...given },
          query,
          user: user || "assistant",
          response_mode: "streaming",
          conversation_id: conversation,
        };
        const call = {
          service: SERVICE,
          url: `${base}/chat-messages`,
          headers,
          body,
          timeoutMs: timeoutMsOf(settings),
          signal,
        };
        const sentences = new Sentences();
        let told = false;
        for await (const value of valuesFrom(call, "sse")) {
          const event = value as DifyEvent;
          if (event.event === "error")
            throw failed(call, `failed: ${event.message ?? event.code ?? "no reason given"}`);
          conversation = event.conversation_id ?? conversation;
          if (!told && event.message_id !== undefined) {
            told = true;
            yield { client: { type: "info", chunk: { conversation_id: conversation, message_id: event.message_id } } };
          }
          if (ANSWERS.has(event.event ?? "") && event.answer) yield* written(event.answer, split ? sentences : null);
        }
        const rest = sentences.flush();
        if (rest !== null) yield { next: rest };
      }
    },
    heartbeat: () => requireAnswer(SERVICE, base),
  };
}

/** Dify's own conversations, by its API. */
function difyConversations(
  request: Pick<ServiceRequest, "service" | "headers" | "timeoutMs">,
  base: string,
): StageConversations {
  const ask = async (method: string, path: string, query: Record<string, string>, body?: object): Promise<unknown> => {
    const search = new URLSearchParams(query).toString();
    const bytes = await answerFrom({
      ...request,
      ...{ method, url: `${base}${path}${search === "" ? "" : `?${search}`}`, signal: new AbortController().signal },
      ...(body === undefined ? {} : { body }),
    });
    // What was deleted has no answer.
    return bytes.length === 0 ? { result: "success" } : jsonFrom(request, bytes.toString());
  };
  const messages = (user: string, id: string, more = {}) =>
    ask("GET", "/messages", { user, conversation_id: id, ...more });
  return {
    messages,
    list: (user, lastId, limit) =>
      ask("GET", "/conversations", { user, limit: String(limit), ...(lastId === null ? {} : { last_id: lastId }) }),
    async suggested(user, id) {
      const last = valueAt(await messages(user, id, { limit: "1" }), "data[0].id");
      if (typeof last !== "string") return { result: "success", data: [] };
      return await ask("GET", `/messages/${encodeURIComponent(last)}/suggested`, { user });
    },
    rename: (user, id, name) => ask("POST", `/conversations/${id}/name`, {}, { name, auto_generate: false, user }),
    delete: (user, id) => ask("DELETE", `/conversations/${id}`, {}, { user }),
  };
}

function* written(chunk: string, sentences: Sentences | null): Generator<StageOutput> {
  const client = { type: "text", chunk };
  if (sentences === null) return yield { client, next: chunk };
  yield { client };
  for (const next of sentences.push(chunk)) yield { next };
}

const textOf = (value: unknown): string => (typeof value === "string" ? value : "");
