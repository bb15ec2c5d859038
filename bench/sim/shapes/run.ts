import { type RoutingPolicyName, routingPolicies } from "../../../src/core/config.ts";
import { quantile } from "../../lib/statistics.ts";
import type { EngineProfile } from "../engine.ts";
import { MODEL } from "../requests.ts";
import { type SimRun, simulateSource } from "../world.ts";
import { Conversations, type TurnRequest } from "./conversations.ts";
import { SlotEngine } from "./engine.ts";
import { consult, type Oracle, oracles } from "./oracle.ts";
import type { Shape, ShapeLimits } from "./shape.ts";

/** A machine on which the shapes run, by what one of its instances is. */
export interface ShapeMachine {
  readonly name: string;
  readonly profile: EngineProfile & { readonly contextTokens: number };
  readonly limits: ShapeLimits;
}

/** About a 135M model, a CPU core an instance. */
const cpu: ShapeMachine = {
  name: "CPU",
  profile: {
    ...{ slots: 4, prefillTokensPerSecond: 150, decodeBaseMs: 18, decodeEachMs: 6, batchTokens: 32, loadMs: 1_000 },
    ...{ contextTokens: 8192, cacheTokens: 4 * 8192 + 100_000 },
  },
  limits: { contextTokens: 8192 },
};

/** About an 8B model on a large GPU each. */
const gpu: ShapeMachine = {
  name: "GPU",
  profile: {
    ...{
      slots: 8,
      prefillTokensPerSecond: 12_000,
      decodeBaseMs: 8,
      decodeEachMs: 0.25,
      batchTokens: 512,
      loadMs: 10_000,
    },
    ...{ contextTokens: 32_768, cacheTokens: 8 * 32_768 + 65_536 },
  },
  limits: { contextTokens: 32_768 },
};

export const machines: readonly ShapeMachine[] = [cpu, gpu];

export type ShapeArm = RoutingPolicyName | `oracle: ${Oracle}` | "one machine";
export const shapeArms: readonly ShapeArm[] = [
  ...routingPolicies,
  ...oracles.map((oracle) => `oracle: ${oracle}` as const),
  "one machine",
];

export interface ShapeFigures {
  /** Of later turns: tokens computed as a multiple of those that no earlier turn had. */
  readonly prefilledOfNeeded: number;
  readonly ttftP50Ms: number;
  readonly ttftP99Ms: number;
  /** Requests that the busiest instance served, as a share of all. */
  readonly busiestShare: number;
  readonly spanMs: number;
}

/**
 * One shape under one arm. `one machine` is a single engine with the speed, slots and caches of all, without a
 * scheduler.
 */
export function runShape(shape: Shape, arm: ShapeArm, { profile }: ShapeMachine): ShapeFigures {
  const source = new Conversations(shape);
  if (arm === "one machine") return figuresOf(consult("home", source, 1, together(profile, shape.replicas)));
  const oracle = oracles.find((name) => arm === `oracle: ${name}`);
  if (oracle !== undefined) return figuresOf(consult(oracle, source, shape.replicas, profile));
  const { replicas } = shape;
  const settings = { policy: arm as RoutingPolicyName };
  const fleet = { models: [MODEL], devices: replicas, maxInstances: replicas, profile, settings, preload: true };
  return figuresOf(simulateSource(source, fleet, () => new SlotEngine(profile)));
}

const together = (profile: ShapeMachine["profile"], count: number): EngineProfile => ({
  ...profile,
  slots: profile.slots * count,
  prefillTokensPerSecond: profile.prefillTokensPerSecond * count,
  decodeEachMs: profile.decodeEachMs / count,
  batchTokens: profile.batchTokens * count,
  cacheTokens: profile.cacheTokens * count,
});

function figuresOf({ results, spanMs }: SimRun): ShapeFigures {
  let [prefilled, needed] = [0, 0];
  const served = new Map<string, number>();
  const ttfts: number[] = [];
  for (const { request, instanceId, ttftMs, totalMs, cachedTokens } of results) {
    const { turn, newTokens, id, promptTokens } = request as TurnRequest;
    if (ttftMs === null || totalMs === null || instanceId === null) throw new Error(`request ${id} was not answered`);
    ttfts.push(ttftMs);
    served.set(instanceId, (served.get(instanceId) ?? 0) + 1);
    if (turn === 0) continue;
    prefilled += promptTokens - cachedTokens;
    needed += newTokens;
  }
  ttfts.sort((a, b) => a - b);
  return {
    prefilledOfNeeded: prefilled / needed,
    ttftP50Ms: quantile(ttfts, 0.5),
    ttftP99Ms: quantile(ttfts, 0.99),
    busiestShare: Math.max(...served.values()) / results.length,
    spanMs,
  };
}
