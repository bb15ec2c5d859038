import type { LlamaContextSequence, SequenceEvaluateOptions, Token } from "node-llama-cpp";
import { likeliest, logprobAt, requireLogprobs, type TokenLogprob } from "./logprobs.ts";
import type { AnswerReader, Piece } from "./reader.ts";
import type { HeldSlot, SlotWork } from "./slots.ts";
import type { Steps } from "./steps.ts";
import { type Detokenize, TokenText } from "./text.ts";

/** One answer to be made. */
export interface Job {
  readonly tokens: readonly Token[];
  /** Most tokens of the answer; the context's rest where that is less. */
  readonly maxTokens: number;
  readonly detokenize: Detokenize<Token>;
  /** Used only for this answer. */
  readonly reader: AnswerReader;
  /** Alternatives of each token whose probabilities are wanted; null: no probabilities at all. */
  readonly logprobs: number | null;
  /** Goes on past the model's own end mark. */
  readonly ignoreEos: boolean;
  /** Whether tokens that the slot still holds need no evaluation. */
  readonly cachePrompt: boolean;
  options(tokens: readonly Token[]): SequenceEvaluateOptions;
  /** Whether the most likely token is always chosen. */
  readonly isGreedy: boolean;
}

/** The instance's facts that generation needs. */
export interface Evaluation {
  readonly contextTokens: number;
  /** Maximum prompt tokens to evaluate before checking the signal again. */
  readonly chunkTokens: () => number;
  /** Told of every step: decoding one token, or `tokens` of a prompt. */
  readonly onStep: (tokens: number, ms: number) => void;
  readonly steps: Steps;
  readonly isEnd: (token: Token) => boolean;
  /** Of one token, marks of the template included. */
  readonly textOf: (token: Token) => string;
}

export interface Timings {
  readonly cached: number;
  readonly prompt: number;
  readonly promptMs: number;
  readonly predicted: number;
  readonly predictedMs: number;
}

export interface Answer {
  readonly finish: "stop" | "length";
  /** The stop string that ended it, or null. */
  readonly stoppedBy: string | null;
  readonly timings: Timings;
}

export interface Listener {
  /**
   * What may be shown, with the probabilities of its tokens where they are wanted. A promise delays the next token: the
   * client is slow.
   */
  pieces(
    pieces: readonly Piece[],
    logprobs: readonly TokenLogprob[],
    timings: () => Timings,
  ): Promise<void> | undefined;
  /** Prompt tokens done so far, cached ones included. */
  progress(done: number, elapsedMs: number): void;
}

/**
 * Makes one answer in a slot. Rejects with the signal's reason within one evaluation of its abort: between two chunks
 * of the prompt, or before the next token.
 */
export async function generate(
  held: HeldSlot,
  job: Job,
  evaluation: Evaluation,
  signal: AbortSignal,
  listener: Listener,
): Promise<Answer> {
  const sequence = held.slot.sequence;
  if (!sequence) throw new Error("this instance has no sequences to generate with");
  try {
    if (held.slot.scope !== held.scope) {
      await sequence.clearHistory();
      held.slot.scope = held.scope;
    }
    return await answer(sequence, held.work, job, evaluation, signal, listener);
  } catch (error) {
    // After a failed evaluation, the content of the sequence is unknown.
    if (!signal.aborted) await sequence.clearHistory();
    throw error;
  }
}

async function answer(
  sequence: LlamaContextSequence,
  work: SlotWork,
  job: Job,
  evaluation: Evaluation,
  signal: AbortSignal,
  listener: Listener,
): Promise<Answer> {
  if (job.logprobs !== null) requireLogprobs(sequence);
  const started = performance.now();
  const cached = await keepCommonPrefix(sequence, job);
  Object.assign(work, { promptTokens: job.tokens.length, promptCached: cached, promptProcessed: 0, decoded: 0 });
  const last = await prefill(sequence, work, job, evaluation, signal, (done) =>
    listener.progress(done, performance.now() - started),
  );

  const all = [...job.tokens];
  const { reader } = job;
  const { steps } = evaluation;
  const text = new TokenText(job.detokenize, job.tokens);
  const most = Math.min(job.maxTokens, evaluation.contextTokens - job.tokens.length);
  const tokens = tokensOf(sequence, last, job, all, evaluation);
  /** Of tokens whose text is not shown yet. */
  let logprobs: TokenLogprob[] = [];
  const show = async (pieces: readonly Piece[]): Promise<void> => {
    if (pieces.length === 0) return;
    const shown = logprobs;
    logprobs = [];
    await listener.pieces(pieces, shown, timings);
  };
  let firstAt = 0;
  const timings = (): Timings => ({
    cached,
    prompt: job.tokens.length - cached,
    promptMs: firstAt - started,
    predicted: work.decoded,
    predictedMs: performance.now() - firstAt,
  });
  let finish: Answer["finish"] = "length";
  try {
    for (;;) {
      const askedAt = performance.now();
      const { value, done } = await steps.run(() => tokens.next());
      if (done === true || value === undefined) break;
      const [token, logprob] = value;
      if (work.decoded === 0) {
        firstAt = performance.now();
        work.promptProcessed = job.tokens.length - cached;
        listener.progress(job.tokens.length, firstAt - started);
      }
      signal.throwIfAborted();
      evaluation.onStep(work.decoded === 0 ? last.length : 1, performance.now() - askedAt);
      if (most <= 0) break;
      work.decoded++;
      const isEnd = evaluation.isEnd(token);
      if (isEnd && !job.ignoreEos) {
        finish = "stop";
        break;
      }
      all.push(token);
      if (!isEnd && job.logprobs !== null)
        logprobs.push(logprob ?? (await logprobAt(sequence, token, job.logprobs, steps, evaluation.textOf)));
      const made = isEnd ? "" : text.push(token);
      if (made !== "") await show(reader.push(made));
      if (reader.ended) {
        finish = "stop";
        break;
      }
      if (work.decoded >= most) break;
    }
  } finally {
    await tokens.return();
  }
  await show([...reader.push(text.finish()), ...reader.finish()]);
  return { finish, stoppedBy: reader.stoppedBy, timings: timings() };
}

/** The tokens of an answer, with what is known of their probabilities without another evaluation. */
async function* tokensOf(
  sequence: LlamaContextSequence,
  last: Token[],
  { logprobs, isGreedy, options }: Job,
  all: readonly Token[],
  { textOf }: Evaluation,
): AsyncGenerator<readonly [token: Token, logprob: TokenLogprob | null], void> {
  if (logprobs !== null && isGreedy) yield* likeliest(sequence, last, logprobs, textOf);
  else for await (const token of sequence.evaluate(last, { ...options(all), yieldEogToken: true })) yield [token, null];
}

/**
 * Drops the content of the sequence beyond the common prefix with the prompt. Returns how many tokens need no
 * evaluation; never all of them.
 */
async function keepCommonPrefix(sequence: LlamaContextSequence, job: Job): Promise<number> {
  const common = job.cachePrompt ? sequence.compareContextTokens([...job.tokens]).firstDifferentIndex : 0;
  const kept = Math.min(common, job.tokens.length - 1);
  if (kept === sequence.nextTokenIndex) return kept;
  // Models with recurrent state or a sliding window cannot be cut anywhere: they would evaluate all again in one go,
  // deaf to aborts.
  if (kept === 0 || sequence.needsCheckpoints) await sequence.clearHistory();
  else await sequence.eraseContextTokenRanges([{ start: kept, end: sequence.nextTokenIndex }]);
  return sequence.nextTokenIndex;
}

/** Evaluates the prompt but for its last chunk, which is returned. */
async function prefill(
  sequence: LlamaContextSequence,
  work: SlotWork,
  job: Job,
  evaluation: Evaluation,
  signal: AbortSignal,
  progress: (done: number) => void,
): Promise<Token[]> {
  let done = work.promptCached;
  progress(done);
  for (;;) {
    signal.throwIfAborted();
    const chunk = Math.max(1, evaluation.chunkTokens());
    if (job.tokens.length - done <= chunk) return job.tokens.slice(done);
    const askedAt = performance.now();
    const part = job.tokens.slice(done, done + chunk);
    await evaluation.steps.run(() => sequence.evaluateWithoutGeneratingNewTokens(part));
    evaluation.onStep(chunk, performance.now() - askedAt);
    done += chunk;
    work.promptProcessed = done - work.promptCached;
    progress(done);
  }
}
