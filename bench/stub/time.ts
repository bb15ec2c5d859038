/** How long an engine takes for what; the simulator and the stub engine share it. Times are milliseconds. */
export interface EngineRates {
  readonly prefillTokensPerSecond: number;
  /** A step of decoding takes a + b × sequences + c × tokens in their contexts. */
  readonly decodeBaseMs: number;
  readonly decodeEachMs: number;
  readonly decodeKvMsPerToken?: number;
  /** Attention within the prompt: for each pair of a new token and one before it. Default 0. */
  readonly prefillPairMs?: number;
  /** Once for every prompt: reading it, its template, its tokens. Default 0. */
  readonly promptBaseMs?: number;
  /** Share of a decoding step's time that a step still pays when it computes prompt tokens too. Default 1. */
  readonly mixedDecodeShare?: number;
}

/** What one step computes. */
export interface StepWork {
  readonly prefillTokens: number;
  readonly prefillPairs?: number;
  /** Prompts that begin in this step. */
  readonly prompts?: number;
  readonly decoding: number;
  /** Tokens in the contexts of the sequences that decode. */
  readonly kvTokens?: number;
}

export function stepMs(
  rates: EngineRates,
  { prefillTokens, prefillPairs = 0, prompts = 0, decoding, kvTokens = 0 }: StepWork,
): number {
  const decodeMs =
    decoding === 0
      ? 0
      : rates.decodeBaseMs + rates.decodeEachMs * decoding + (rates.decodeKvMsPerToken ?? 0) * kvTokens;
  if (prefillTokens === 0) return decodeMs;
  const prefillMs =
    (prefillTokens / rates.prefillTokensPerSecond) * 1000 +
    (rates.prefillPairMs ?? 0) * prefillPairs +
    (rates.promptBaseMs ?? 0) * prompts;
  return prefillMs + decodeMs * (rates.mixedDecodeShare ?? 1);
}

/** Pairs of `tokens` new tokens with those before them, of which `before` are there already. */
export const pairsOf = (before: number, tokens: number): number => tokens * before + (tokens * tokens) / 2;
