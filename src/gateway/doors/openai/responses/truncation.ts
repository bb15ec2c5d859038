import type { AssistantError } from "../../../../core/errors.ts";
import type { AnswerSink, InferenceCall, JsonObject } from "../../../../core/inference.ts";
import type { InferenceCore } from "../../../../inference/core.ts";
import { DelegatedSink } from "../../../front/delegated-sink.ts";
import { chatOf } from "./plan.ts";
import type { ResponseRequest } from "./request.ts";

/** Each attempt omits at least an eighth of the rest, so a conversation of thousands of messages needs no more. */
const MAX_TRIES = 32;
const MIN_SHARE = 1 / 8;

/** Has a request answered, if it allows that without the oldest messages that do not fit into the model's context. */
export async function runFitting(
  core: Pick<InferenceCore, "run">,
  call: InferenceCall,
  request: ResponseRequest,
  sink: AnswerSink,
): Promise<void> {
  if (!request.truncates) return await core.run(call, sink);
  let asked = request;
  for (let tries = 1; ; tries++) {
    const trial = new TrialSink(sink);
    await core.run({ ...call, ...chatOf(asked) }, trial);
    if (trial.tooLong === null) return;
    const shorter = tries < MAX_TRIES ? withoutOldest(asked, trial.tooLong.error) : null;
    if (shorter === null) return sink.fail(trial.tooLong.error, trial.tooLong.headers, true);
    asked = shorter;
  }
}

/** Of an engine; the client's own body was accepted. */
const TOO_LONG: ReadonlySet<string> = new Set(["context_length_exceeded", "body_too_large"]);

/** Holds back the failure of a conversation that is too long, as long as there is no answer. */
class TrialSink extends DelegatedSink {
  readonly waiting?: NonNullable<AnswerSink["waiting"]>;
  tooLong: { readonly error: AssistantError; readonly headers: readonly string[] } | null = null;
  #begun = false;

  constructor(client: AnswerSink) {
    super(client);
    const { waiting } = client;
    if (waiting !== undefined) this.waiting = (wait, headers) => waiting.call(client, wait, headers);
  }

  override head(...head: Parameters<AnswerSink["head"]>): void {
    this.#begun = true;
    super.head(...head);
  }
  override fail(error: AssistantError, headers: readonly string[], betweenEvents: boolean): void {
    if (this.#begun || !TOO_LONG.has(error.code)) super.fail(error, headers, betweenEvents);
    else this.tooLong = { error, headers };
  }
}

/**
 * Without the oldest messages, as many as the engine's counts indicate, or an eighth of the text. Null: nothing is left
 * to omit.
 */
export function withoutOldest(
  request: ResponseRequest,
  { counts }: Pick<AssistantError, "counts">,
): ResponseRequest | null {
  const messages = request.chat["messages"] as readonly JsonObject[];
  const first = messages.findIndex(({ role }) => role !== "system" && role !== "developer");
  const last = messages.findLastIndex(({ role }) => role === "user");
  if (first < 0 || last <= first) return null;
  const { n_prompt_tokens: tokens, n_ctx: context } = counts ?? {};
  const over = tokens !== undefined && context !== undefined ? 1 - context / tokens : 0;
  const total = messages.reduce((sum, message) => sum + lengthOf(message), 0);
  let left = total * Math.max(MIN_SHARE, over);
  let end = first;
  while (end < last && left > 0) left -= lengthOf(messages[end++] as JsonObject);
  // The output of an omitted call would belong to none.
  while (end < last && messages[end]?.["role"] === "tool") end += 1;
  const kept = <T>(list: readonly T[]): T[] => [...list.slice(0, first), ...list.slice(end)];
  return { ...request, chat: { ...request.chat, messages: kept(messages) }, places: kept(request.places) };
}

const lengthOf = (message: JsonObject): number => JSON.stringify(message).length;
