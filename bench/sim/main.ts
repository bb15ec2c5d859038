/**
 * Replays workloads through the scheduler's own code with a simulated clock and fleet.
 *
 *   npm run bench -- sim --trace FILE.jsonl
 *   node bench/sim/main.ts --trace FILE.jsonl [--instances 4] [--load 0.8,0.98] [--policies a,b] [--most N]
 */
import { parseArgs } from "node:util";
import { type RoutingPolicyName, routingPolicies } from "../../src/core/config.ts";
import { printTable } from "../lib/report.ts";
import type { EngineProfile } from "./engine.ts";
import { type Measures, measure } from "./measure.ts";
import { MODEL, type SimRequest } from "./requests.ts";
import { readTrace, replay } from "./trace.ts";
import { simulate } from "./world.ts";

const { values } = parseArgs({
  options: {
    trace: { type: "string" },
    instances: { type: "string", default: "4" },
    load: { type: "string", default: "0.8,0.98" },
    policies: { type: "string", default: routingPolicies.join(",") },
    most: { type: "string", default: "12031" },
  },
});

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
export const pooled = (profile: EngineProfile, instances: number): EngineProfile => ({
  ...profile,
  slots: profile.slots * instances,
  prefillTokensPerSecond: profile.prefillTokensPerSecond * instances,
  decodeBaseMs: profile.decodeBaseMs,
  decodeEachMs: profile.decodeEachMs / instances,
  batchTokens: profile.batchTokens * instances,
  cacheTokens: profile.cacheTokens * instances,
});

export function runPolicy(requests: readonly SimRequest[], instances: number, profile: EngineProfile, policy: RoutingPolicyName): Measures {
  return measure(simulate(requests, { models: [MODEL], devices: instances, maxInstances: instances, profile, settings: { policy }, preload: true }));
}

/** Prompt tokens a second that least-outstanding gets done when there is always more to do: a load of 1. */
function saturation(requests: readonly SimRequest[], instances: number): number {
  const run = simulate(requests, {
    models: [MODEL],
    devices: instances,
    maxInstances: instances,
    profile: PROFILE,
    settings: { policy: "least-outstanding" },
    preload: true,
  });
  return requests.reduce((sum, { promptTokens }) => sum + promptTokens, 0) / (run.spanMs / 1000);
}

const trace = readTrace(values.trace ?? "");
for (const instances of values.instances.split(",").map(Number)) {
  const copies = Math.max(1, Math.round(instances / 4));
  const capacity = saturation(replay(trace, 3 * instances * PROFILE.prefillTokensPerSecond, copies, Number(values.most)), instances);
  console.log("capacity", capacity);
  for (const load of values.load.split(",").map(Number)) {
    const requests = replay(trace, load * capacity, copies, Number(values.most));
    const rows = [["policy", "TTFT p50", "p99", "mean", "total p50", "hits", "good/s", "good", "busy", "us"]];
    const show = (name: string, m: Measures): void => {
      rows.push([
        name,
        m.ttftP50S.toFixed(2),
        m.ttftP99S.toFixed(2),
        m.ttftMeanS.toFixed(2),
        m.totalP50S.toFixed(2),
        m.hitRate.toFixed(3),
        m.goodputPerSecond.toFixed(2),
        m.goodShare.toFixed(3),
        m.busyShare.toFixed(3),
        m.usPerDecision.toFixed(1),
      ]);
    };
    show("pooled", runPolicy(requests, 1, pooled(PROFILE, instances), "least-outstanding"));
    for (const policy of values.policies.split(",")) show(policy, runPolicy(requests, instances, PROFILE, policy as RoutingPolicyName));
    console.log(`${instances} instances, load ${load}, ${requests.length} requests`);
    printTable(rows);
  }
}
