import type { RoutingPolicyName } from "../../src/core/config.ts";
import { quantile } from "../lib/statistics.ts";
import type { EngineProfile } from "./engine.ts";
import { type Measures, measure, ttftsOf } from "./measure.ts";
import { MODEL, type SimRequest } from "./requests.ts";
import { alternating, type Stream, streams } from "./workloads.ts";
import { type SimRun, simulate } from "./world.ts";

/** About an 8B model on one large GPU. */
export const PROFILE: EngineProfile = {
  slots: 32,
  prefillTokensPerSecond: 12_000,
  decodeBaseMs: 8,
  decodeEachMs: 0.25,
  batchTokens: 512,
  cacheTokens: 2_000_000,
  loadMs: 10_000,
};

/** The bound: one machine as fast as all together, with all their slots and caches. */
export const pooled = (instances: number): EngineProfile => ({
  ...PROFILE,
  slots: PROFILE.slots * instances,
  prefillTokensPerSecond: PROFILE.prefillTokensPerSecond * instances,
  decodeEachMs: PROFILE.decodeEachMs / instances,
  batchTokens: PROFILE.batchTokens * instances,
  cacheTokens: PROFILE.cacheTokens * instances,
});

export function run(
  requests: readonly SimRequest[],
  instances: number,
  policy: RoutingPolicyName,
  profile: EngineProfile = PROFILE,
): SimRun {
  return simulate(requests, {
    models: [MODEL],
    devices: instances,
    maxInstances: instances,
    profile,
    settings: { policy },
    preload: true,
  });
}

export const runPolicy = (requests: readonly SimRequest[], instances: number, policy: RoutingPolicyName): Measures =>
  measure(run(requests, instances, policy));

/** Prompt tokens a second that least-outstanding gets done while there is always more to do: a load of 1. */
export function saturation(requests: readonly SimRequest[], instances: number): number {
  const { spanMs } = run(requests, instances, "least-outstanding");
  return requests.reduce((sum, { promptTokens }) => sum + promptTokens, 0) / (spanMs / 1000);
}

const MINUTES_MS = 60_000;
const DEADLINE_MS = 20_000;

/** Prompts that nobody has seen before, at 80 % of what the instances can do. */
export function noReuse(policy: RoutingPolicyName, instances: number): Measures {
  return runPolicy(
    streams([{ tenant: "t", perSecond: 2.0 * instances, promptTokens: 4000, outputTokens: 200 }], 10 * MINUTES_MS, 1),
    instances,
    policy,
  );
}

export interface InTime {
  /** Answers that were whole before their deadline, as a share of those that had one. */
  readonly inTime: number;
  /** Of those without a deadline. */
  readonly othersP50S: number;
  readonly othersP99S: number;
}

/**
 * One tenant's requests in a queue of some seconds, a third of them to be answered within twenty seconds. `heeded`:
 * whether the scheduler is told of that.
 */
export function deadlines(policy: RoutingPolicyName, instances: number, perSecond: number, heeded: boolean): InTime {
  const usual: Stream = { tenant: "t", perSecond: perSecond * instances, promptTokens: 4000, outputTokens: 200 };
  const pressed: Stream = { ...usual, perSecond: (perSecond * instances) / 2, deadlineMs: DEADLINE_MS };
  const requests = streams([usual, pressed], 10 * MINUTES_MS, 5);
  const told = heeded ? requests : requests.map(({ deadlineMs: _, ...request }) => request);
  const late = new Set(requests.filter(({ deadlineMs }) => deadlineMs !== undefined).map(({ id }) => id));
  const { results } = run(told, instances, policy);
  const met = results.filter(
    ({ request, totalMs }) => late.has(request.id) && totalMs !== null && totalMs <= DEADLINE_MS,
  );
  const others = results
    .flatMap(({ request, ttftMs }) => (late.has(request.id) || ttftMs === null ? [] : [ttftMs / 1000]))
    .sort((a, b) => a - b);
  return { inTime: met.length / late.size, othersP50S: quantile(others, 0.5), othersP99S: quantile(others, 0.99) };
}

export interface LightClient {
  readonly aloneP99S: number;
  readonly besideP99S: number;
  readonly flooderAnswers: number;
}

/** About a 135M model on two CPU cores. */
export const SMALL: EngineProfile = {
  slots: 4,
  prefillTokensPerSecond: 150,
  decodeBaseMs: 18,
  decodeEachMs: 6,
  batchTokens: 32,
  cacheTokens: 32_768,
  loadMs: 1_000,
};

/**
 * The same on instances of four slots, of a large GPU or a small CPU; `overlapping`: the light client's requests come
 * at random, else one at a time.
 */
export function flooderOfFew(profile: EngineProfile, instances: number, overlapping: boolean): LightClient {
  const [prompt, answer, seconds] = profile === SMALL ? [128, 32, 7] : [2000, 200, 4];
  const light: Stream = {
    tenant: "light",
    perSecond: 1 / seconds,
    promptTokens: prompt,
    outputTokens: answer,
    even: !overlapping,
  };
  const flood: Stream = {
    tenant: "flooder",
    perSecond: (10 / seconds) * instances,
    promptTokens: prompt,
    outputTokens: 2 * answer,
  };
  const go = (list: readonly Stream[]): SimRun =>
    run(streams(list, 10 * MINUTES_MS, 2), instances, "expected-time", { ...profile, slots: 4 });
  const p99 = (result: SimRun): number => quantile(ttftsOf(result, "light"), 0.99);
  const beside = go([light, flood]);
  const flooderAnswers = beside.results.filter(
    ({ request, totalMs }) =>
      request.tenant === "flooder" && totalMs !== null && request.at + totalMs < 10 * MINUTES_MS,
  );
  return { aloneP99S: p99(go([light])), besideP99S: p99(beside), flooderAnswers: flooderAnswers.length };
}

/** A client with a request every two seconds, alone and beside one who sends twice as much as can be done. */
export function flooder(policy: RoutingPolicyName, instances: number): LightClient {
  const light: Stream = { tenant: "light", perSecond: 0.5, promptTokens: 4000, outputTokens: 200 };
  const flood: Stream = { tenant: "flooder", perSecond: 8 * instances, promptTokens: 2000, outputTokens: 200 };
  const forMs = 10 * MINUTES_MS;
  const p99 = (result: SimRun): number => quantile(ttftsOf(result, "light"), 0.99);
  const beside = run(streams([light, flood], forMs, 2), instances, policy);
  return {
    aloneP99S: p99(run(streams([light], forMs, 2), instances, policy)),
    besideP99S: p99(beside),
    flooderAnswers: ttftsOf(beside, "flooder").length,
  };
}

/** Loads while two models are asked for in turn and one fits; first in, first out would load for every request. */
export function swaps(requests: number): {
  readonly requests: number;
  readonly loads: number;
  readonly ttftP99S: number;
} {
  const result = simulate(alternating(requests, 1000), {
    models: ["first", "second"],
    devices: 1,
    maxInstances: 1,
    profile: { ...PROFILE, loadMs: 5000 },
    settings: {},
    preload: false,
  });
  return { requests, loads: result.starts, ttftP99S: measure(result).ttftP99S };
}
