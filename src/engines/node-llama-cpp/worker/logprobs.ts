import type { LlamaContextSequence, Token } from "node-llama-cpp";
import { invalid, unsupported } from "./errors.ts";
import { type Body, flagOf, numberOf } from "./fields.ts";
import type { Steps } from "./steps.ts";

/** A token of an answer with its probability, in the shape of OpenAI's API and with llama-server's `id`. */
export interface TokenLogprob extends Chance {
  readonly top_logprobs: readonly Chance[];
}

interface Chance {
  readonly id: Token;
  readonly token: string;
  /** Null where the token is part of a character. */
  readonly bytes: readonly number[] | null;
  readonly logprob: number;
}

/** How many alternatives of each token are wanted; null: no probabilities at all. */
export function logprobsOf(dialect: "chat" | "text", body: Body): number | null {
  const probabilities = numberOf(body, "n_probs", { min: 0, integer: true }) ?? 0;
  if (dialect === "text") {
    const wanted = numberOf(body, "logprobs", { min: 0, integer: true }) ?? probabilities;
    return wanted > 0 ? wanted : null;
  }
  const top = numberOf(body, "top_logprobs", { min: 0, max: 20, integer: true });
  if (flagOf(body, "logprobs") === true) return top ?? 0;
  if (top !== null && top > 0) throw invalid("top_logprobs requires logprobs to be set to true");
  return probabilities > 0 ? probabilities : null;
}

/** Throws where the sequence cannot go back by a token, as `logprobAt` does. */
export function requireLogprobs(sequence: LlamaContextSequence | null): void {
  if (sequence?.needsCheckpoints === true) throw unsupported("`logprobs` for a model with recurrent or sliding state");
}

/**
 * The probability of `token` given the content of the sequence, before any sampling. node-llama-cpp returns the logits
 * of a step either unmodified or after sampling, so the last token is evaluated again for them.
 */
export async function logprobAt(
  sequence: LlamaContextSequence,
  token: Token,
  alternatives: number,
  steps: Steps,
  textOf: (token: Token) => string,
): Promise<TokenLogprob> {
  const last = sequence.contextTokens.at(-1);
  if (last === undefined) throw new Error("an empty sequence has no next token");
  const end = sequence.nextTokenIndex;
  await sequence.eraseContextTokenRanges([{ start: end - 1, end }]);
  const filter = { tokens: [token], includeTop: Math.max(1, alternatives) };
  const generateNext = { logits: { filter }, totalLogitWeight: true, options: { temperature: 0 } };
  const [result] = await steps.run(() => sequence.controlledEvaluate([[last, { generateNext }]]));
  return read(token, result, alternatives, textOf);
}

/**
 * The most likely token after `start`, then the most likely one after that, and so on, each with its probability from
 * the same evaluation: without sampling, the logits of a step are unmodified.
 */
export async function* likeliest(
  sequence: LlamaContextSequence,
  start: readonly Token[],
  alternatives: number,
  textOf: (token: Token) => string,
): AsyncGenerator<readonly [token: Token, logprob: TokenLogprob], void> {
  const logits = { filter: { tokens: [], includeSelected: true, includeTop: alternatives } };
  const generateNext = { token: true, logits, totalLogitWeight: true, options: { temperature: 0 } };
  for (let tokens = [...start]; ; ) {
    const last = tokens.pop();
    if (last === undefined) return;
    const results = await sequence.controlledEvaluate([...tokens, [last, { generateNext }]]);
    const result = results[tokens.length];
    const token = result?.next.token ?? null;
    if (token === null) return;
    yield [token, read(token, result, alternatives, textOf)];
    tokens = [token];
  }
}

type Evaluated = Awaited<ReturnType<LlamaContextSequence["controlledEvaluate"]>>[number];

/** `evaluated` has the logits of the token, of the likeliest one and of the alternatives. */
function read(
  token: Token,
  evaluated: Evaluated | undefined,
  alternatives: number,
  textOf: (token: Token) => string,
): TokenLogprob {
  const { logits, totalLogitWeight } = evaluated?.next ?? {};
  const own = logits?.get(token);
  if (logits === undefined || totalLogitWeight === undefined || own === undefined)
    throw new Error("the logits of a token are missing");
  const ranked = [...logits].sort(([, a], [, b]) => b - a);
  const scale = (ranked[0]?.[1] ?? 0) + Math.log(totalLogitWeight);
  const chance = (id: Token, logit: number): Chance => {
    const text = textOf(id);
    return { id, token: text, bytes: text.includes("\uFFFD") ? null : [...Buffer.from(text)], logprob: logit - scale };
  };
  return {
    ...chance(token, own),
    top_logprobs: ranked.slice(0, alternatives).map(([id, logit]) => chance(id, logit)),
  };
}
