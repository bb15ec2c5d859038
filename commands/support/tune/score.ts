import { BATCH_TOO_LONG, FAILED, type Standing, USABLE } from "./search.ts";

/**
 * `latency`: a single request. `throughput`: many concurrent ones. `balanced`: both, as the geometric mean of the two.
 */
export type Objective = "latency" | "throughput" | "balanced";

/** What one run, or the median of several, showed. Rates are tokens per second. */
export interface Rates {
  /** A single prompt. */
  readonly prefill: number;
  /** A single answer; null for embeddings. */
  readonly decode: number | null;
  /** Prompt and answer tokens of all streams together; null where they were not measured. */
  readonly streams: number | null;
}

export interface Measured extends Standing {
  readonly kind: "measured";
  readonly rates: Rates;
  /**
   * One prefill batch in the fastest run, milliseconds: for so long a request whose client left may hold the engine.
   */
  readonly batchMs: number;
  /** Requests of the nominal size per second; the higher the better. */
  readonly score: number;
  readonly runs: number;
}

/** It does not start, does not fit, or takes too long. */
export interface Failure extends Standing {
  readonly kind: "failed";
  readonly reason: string;
}

export type Result = Measured | Failure;

/** The size of a request for which settings are compared, whatever was measured with. Tokens. */
export const nominal = { prompt: 512, answer: 64 } as const;

/** A prompt is only cancelled between batches, so one should not last longer than this. */
export const MAX_BATCH_MS = 200;

/**
 * The median of the runs, judged. `shortestBatch`: no smaller batch is possible, so its length is no reason to refuse
 * it.
 */
export function judge(
  runs: readonly Rates[],
  objective: Objective,
  batchTokens: number,
  shortestBatch: boolean,
): Measured {
  const decode = medianOf(runs, (run) => run.decode);
  const rates: Rates = {
    prefill: medianOf(runs, (run) => run.prefill) ?? 0,
    decode,
    streams: medianOf(runs, (run) => run.streams),
  };
  const answer = decode === null ? 0 : nominal.answer;
  const alone = 1 / (nominal.prompt / rates.prefill + (decode === null ? 0 : answer / decode));
  const together = rates.streams === null ? alone : rates.streams / (nominal.prompt + answer);
  const score = objective === "latency" ? alone : objective === "throughput" ? together : Math.sqrt(alone * together);
  // Other programs can make a run slower, never faster: the fastest run is the most informative.
  const batchMs = (batchTokens / Math.max(...runs.map((run) => run.prefill))) * 1000;
  const standing: Standing =
    batchMs <= MAX_BATCH_MS || shortestBatch
      ? { tier: USABLE, value: score }
      : { tier: BATCH_TOO_LONG, value: 1 / batchMs };
  return { kind: "measured", ...standing, rates, batchMs, score, runs: runs.length };
}

export const failure = (reason: string): Failure => ({ kind: "failed", tier: FAILED, value: 0, reason });

function medianOf(runs: readonly Rates[], read: (run: Rates) => number | null): number | null {
  const values = runs
    .map(read)
    .filter((value) => value !== null)
    .sort((a, b) => a - b);
  const middle = Math.floor(values.length / 2);
  const upper = values[middle];
  if (upper === undefined) return null;
  return values.length % 2 === 1 ? upper : ((values[middle - 1] ?? upper) + upper) / 2;
}
