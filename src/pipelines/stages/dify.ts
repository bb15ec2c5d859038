import type { StageSettings } from "../../config/schema/stages.ts";
import type { JsonObject } from "../../core/inference.ts";
import { type ReadVariable, secretOf } from "../secrets.ts";
import { Sentences } from "../sentences.ts";
import { failed, requireAnswer, requireHeaders, timeoutMsOf, valuesFrom } from "../service.ts";
import type { Stage, StageOutput } from "../stage.ts";

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

/** Asks an application of Dify, by its API for chats. The client learns the ids with which it goes on in a frame `info`. */
export function difyStage(settings: StageSettings["dify"], read: ReadVariable): Stage {
  const { api_key_env: variable, inputs = {}, split = true } = settings;
  const base = settings.url.replace(/\/+$/, "");
  const key = variable === undefined ? null : secretOf(read, variable, "api_key_env");
  const headers: Record<string, string> = key === null ? {} : { authorization: `Bearer ${key}` };
  requireHeaders(headers, "api_key_env");

  return {
    accepts: "text",
    emits: "text",
    async *run(input, { request, options, user, signal }) {
      let conversation = textOf(request["conversation_id"]);
      for await (const query of input) {
        const body = {
          inputs: { ...inputs, ...(options["inputs"] as JsonObject | undefined) },
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

function* written(chunk: string, sentences: Sentences | null): Generator<StageOutput> {
  const client = { type: "text", chunk };
  if (sentences === null) return yield { client, next: chunk };
  yield { client };
  for (const next of sentences.push(chunk)) yield { next };
}

const textOf = (value: unknown): string => (typeof value === "string" ? value : "");
