import { quantile } from "../lib/statistics.ts";
import type { EngineParameters } from "./parameters.ts";
import { type EngineRates, pairsOf, stepMs } from "./time.ts";

/** A prompt of `tokens` new tokens after `before` cached ones, and the time to its first token. */
export interface PrefillSample {
  readonly before: number;
  readonly tokens: number;
  readonly ms: number;
}

/** One step of `active` sequences with `kvTokens` in their contexts. */
export interface DecodeSample {
  readonly active: number;
  readonly kvTokens: number;
  readonly ms: number;
}

/** A prompt that was prefilled while others decoded. */
export interface MixedSample extends PrefillSample {
  readonly active: number;
  readonly kvTokens: number;
  readonly batchTokens: number;
}

/**
 * Of samples that every round took in the same order, the fastest of each: what else the machine did only makes them
 * slower.
 */
export function fastest<Sample extends { readonly ms: number }>(samples: readonly Sample[], rounds: number): Sample[] {
  const each = samples.length / rounds;
  return samples
    .slice(0, each)
    .map((first, index) =>
      Array.from({ length: rounds }, (_, round) => samples[round * each + index] ?? first).reduce((best, sample) =>
        sample.ms < best.ms ? sample : best,
      ),
    );
}

/**
 * Factors, none below 0, that make `rows · factors` come nearest to `values`, by relative error. What would be negative
 * is left out and the rest fitted again. Throws where there are fewer rows than factors.
 */
export function fitLinear(rows: readonly (readonly number[])[], values: readonly number[]): number[] {
  const width = rows[0]?.length ?? 0;
  if (rows.length < width) throw new Error(`${rows.length} samples are too few for ${width} parameters`);
  let used = Array.from({ length: width }, (_, index) => index);
  for (;;) {
    const weighted = rows.map((row, index) => used.map((column) => (row[column] ?? 0) / (values[index] ?? 1)));
    const factors = solve(
      used.map((_, a) => used.map((_, b) => weighted.reduce((sum, row) => sum + (row[a] ?? 0) * (row[b] ?? 0), 0))),
      used.map((_, a) => weighted.reduce((sum, row) => sum + (row[a] ?? 0), 0)),
    );
    const worst = factors.reduce((lowest, factor, index) => (factor < (factors[lowest] ?? 0) ? index : lowest), 0);
    if ((factors[worst] ?? 0) >= 0)
      return Array.from({ length: width }, (_, column) =>
        used.includes(column) ? (factors[used.indexOf(column)] ?? 0) : 0,
      );
    used = used.filter((_, index) => index !== worst);
  }
}

/** Gauss's elimination; a column that says nothing gets 0. */
function solve(matrix: readonly (readonly number[])[], right: readonly number[]): number[] {
  const rows = matrix.map((row, index) => [...row, right[index] ?? 0]);
  const size = rows.length;
  for (let column = 0; column < size; column++) {
    const pivot = rows
      .slice(column)
      .reduce(
        (best, row, index) =>
          Math.abs(row[column] ?? 0) > Math.abs(rows[best]?.[column] ?? 0) ? column + index : best,
        column,
      );
    const [top, chosen] = [rows[column], rows[pivot]];
    if (top === undefined || chosen === undefined || Math.abs(chosen[column] ?? 0) < 1e-12) continue;
    [rows[column], rows[pivot]] = [chosen, top];
    for (const [index, row] of rows.entries()) {
      if (index === column) continue;
      const factor = (row[column] ?? 0) / (chosen[column] ?? 1);
      for (let at = column; at <= size; at++) row[at] = (row[at] ?? 0) - factor * (chosen[at] ?? 0);
    }
  }
  return rows.map((row, index) => (Math.abs(row[index] ?? 0) < 1e-12 ? 0 : (row[size] ?? 0) / (row[index] ?? 1)));
}

export function fitTokens(
  samples: readonly { readonly bytes: number; readonly tokens: number }[],
): Pick<EngineParameters, "bytesPerToken" | "templateTokens"> {
  const [templateTokens = 0, perByte = 0] = fitLinear(
    samples.map(({ bytes }) => [1, bytes]),
    samples.map(({ tokens }) => tokens),
  );
  return { bytesPerToken: 1 / perByte, templateTokens: Math.round(templateTokens) };
}

export function fitPrefill(
  samples: readonly PrefillSample[],
): Pick<EngineParameters, "promptBaseMs" | "prefillTokensPerSecond" | "prefillPairMs"> {
  const [promptBaseMs = 0, perToken = 0, prefillPairMs = 0] = fitLinear(
    samples.map(({ before, tokens }) => [1, tokens, pairsOf(before, tokens)]),
    samples.map(({ ms }) => ms),
  );
  return { promptBaseMs, prefillTokensPerSecond: 1000 / perToken, prefillPairMs };
}

export function fitDecode(
  samples: readonly DecodeSample[],
): Pick<EngineParameters, "decodeBaseMs" | "decodeEachMs" | "decodeKvMsPerToken"> {
  const [decodeBaseMs = 0, decodeEachMs = 0, decodeKvMsPerToken = 0] = fitLinear(
    samples.map(({ active, kvTokens }) => [1, active, kvTokens]),
    samples.map(({ ms }) => ms),
  );
  return { decodeBaseMs, decodeEachMs, decodeKvMsPerToken };
}

/** What of the decoding steps' time a prompt waited for, 0–1, given the other parameters. */
export function fitMixed(samples: readonly MixedSample[], rates: EngineRates): number {
  const shares = samples.map(({ before, tokens, ms, active, kvTokens, batchTokens }) => {
    const alone = stepMs(rates, {
      prefillTokens: tokens,
      prefillPairs: pairsOf(before, tokens),
      prompts: 1,
      decoding: 0,
    });
    const steps = Math.ceil(tokens / Math.max(1, batchTokens - active));
    return (ms - alone) / (steps * stepMs(rates, { prefillTokens: 0, decoding: active, kvTokens }));
  });
  return Math.min(
    1,
    Math.max(
      0,
      quantile(
        shares.sort((a, b) => a - b),
        0.5,
      ),
    ),
  );
}

/** Median and 90th percentile of |there ÷ here − 1|. */
export function relativeErrors(pairs: readonly { readonly real: number; readonly stub: number }[]): {
  readonly median: number;
  readonly p90: number;
} {
  const errors = pairs.map(({ real, stub }) => Math.abs(stub / real - 1)).sort((a, b) => a - b);
  return { median: quantile(errors, 0.5), p90: quantile(errors, 0.9) };
}
