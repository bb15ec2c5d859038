import { quantile } from "../lib/statistics.ts";
import type { SimResult, SimRun } from "./world.ts";

/** An answer is good when its first token came within this time and the rest at a reader's pace. */
const GOOD_TTFT_MS = 5_000;
const GOOD_MS_PER_TOKEN = 100;

export interface Measures {
  readonly requests: number;
  readonly refused: number;
  readonly ttftP50S: number;
  readonly ttftP99S: number;
  readonly ttftMeanS: number;
  readonly totalP50S: number;
  /** Cached ÷ all prompt tokens. */
  readonly hitRate: number;
  /** Good answers a second, and as a share of all. */
  readonly goodputPerSecond: number;
  readonly goodShare: number;
  /**
   * Jain's index of the tenants' mean slowdown (TTFT ÷ best TTFT of its size is not known, so TTFT per prompt token): 1
   * is even.
   */
  readonly fairness: number;
  readonly busyShare: number;
  readonly starts: number;
  readonly usPerDecision: number;
}

export function measure(run: SimRun): Measures {
  const answered = run.results.filter(
    (result): result is SimResult & { ttftMs: number; totalMs: number } =>
      result.totalMs !== null && result.ttftMs !== null,
  );
  const ttfts = sorted(answered.map(({ ttftMs }) => ttftMs / 1000));
  const good = answered.filter(
    ({ ttftMs, totalMs, request }) =>
      ttftMs <= GOOD_TTFT_MS && totalMs - ttftMs <= GOOD_MS_PER_TOKEN * request.outputTokens,
  );
  const prompt = answered.reduce((sum, { request }) => sum + request.promptTokens, 0);
  return {
    requests: run.results.length,
    refused: run.results.length - answered.length,
    ttftP50S: quantile(ttfts, 0.5),
    ttftP99S: quantile(ttfts, 0.99),
    ttftMeanS: ttfts.reduce((sum, each) => sum + each, 0) / ttfts.length,
    totalP50S: quantile(sorted(answered.map(({ totalMs }) => totalMs / 1000)), 0.5),
    hitRate: answered.reduce((sum, { cachedTokens }) => sum + cachedTokens, 0) / prompt,
    goodputPerSecond: good.length / (run.spanMs / 1000),
    goodShare: good.length / run.results.length,
    fairness: jain(answered),
    busyShare: run.busyShare,
    starts: run.starts,
    usPerDecision: (run.decisionMs * 1000) / run.decisions,
  };
}

/** TTFT of one tenant's requests, seconds, sorted. */
export const ttftsOf = (run: SimRun, tenant: string): number[] =>
  sorted(
    run.results.flatMap(({ request, ttftMs }) => (request.tenant === tenant && ttftMs !== null ? [ttftMs / 1000] : [])),
  );

const sorted = (values: number[]): number[] => values.sort((a, b) => a - b);

function jain(answered: readonly (SimResult & { ttftMs: number })[]): number {
  const byTenant = new Map<string, { sum: number; count: number }>();
  for (const { request, ttftMs } of answered) {
    const entry = byTenant.get(request.tenant) ?? { sum: 0, count: 0 };
    entry.sum += ttftMs / request.promptTokens;
    entry.count += 1;
    byTenant.set(request.tenant, entry);
  }
  const means = [...byTenant.values()].map(({ sum, count }) => sum / count);
  const sum = means.reduce((total, each) => total + each, 0);
  return sum ** 2 / (means.length * means.reduce((total, each) => total + each ** 2, 0));
}
