import { AssistantError } from "../core/errors.ts";
import { newRequestId } from "../core/ids.ts";
import { bodyOf, type InferenceCall } from "../core/inference.ts";
import { answerOf } from "./collect.ts";
import type { InferenceCore } from "./core.ts";

/** Separates two texts in the tokenized input; no token has this number. */
const BETWEEN = -1;

/** The caller whose texts are counted, and the model with the vocabulary. */
export type CountingCall = Pick<
  InferenceCall,
  "caller" | "route" | "cancellation" | "selector" | "priority" | "deadlineAt" | "hops" | "cachePart"
>;

/** Tokens of each text, counted with the model's own vocabulary in one request to it. Rejects like `answerOf`. */
export async function countTokens(
  core: Pick<InferenceCore, "run">,
  texts: readonly string[],
  // Copied field by field: with additional ones, a call would be validated as its original operation.
  { caller, route, cancellation, selector, priority, deadlineAt, hops, cachePart }: CountingCall,
): Promise<readonly number[]> {
  const json = {
    model: selector.model,
    content: texts.flatMap((text, index) => (index === 0 ? [text] : [BETWEEN, text])),
    parse_special: false,
  };
  const { body } = await answerOf(core, {
    ...{ caller, route, cancellation, selector, priority, deadlineAt, hops, cachePart },
    id: newRequestId(),
    arrivedAt: performance.now(),
    operation: "tokenize",
    wire: "llamacpp.tokenize",
    body: bodyOf(json),
    prompt: {},
    streamed: false,
    maxTokens: 0,
  });
  return countsOf(JSON.parse(body.toString()) as { readonly tokens?: unknown }, texts.length);
}

function countsOf({ tokens }: { readonly tokens?: unknown }, texts: number): readonly number[] {
  const counts = [0];
  if (Array.isArray(tokens))
    for (const token of tokens) {
      if (token === BETWEEN) counts.push(0);
      else counts[counts.length - 1] = (counts.at(-1) ?? 0) + 1;
    }
  if (counts.length === texts) return counts;
  throw new AssistantError("engine_error", "The engine's answer does not contain the tokens of each text.");
}
