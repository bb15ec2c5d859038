import { type RoutingPolicyName, routingPolicies } from "../../src/core/config.ts";
import { printTable, type Report } from "../lib/report.ts";
import { shown, spread } from "../lib/statistics.ts";
import type { Figures } from "./plan.ts";

export interface WorkloadContext {
  readonly report: Report;
  readonly rounds: number;
  /** A trace of requests, JSON lines, or null. */
  readonly trace: string | null;
}

/** What one run of an arm says: the usual figures and its own. */
export type ArmResult = Figures & Readonly<Record<string, number>>;

const BASE: RoutingPolicyName = "least-outstanding";

export interface Comparison {
  readonly workload: string;
  readonly title: string;
  /** Default: all policies. */
  readonly policies?: readonly RoutingPolicyName[];
  /** What the rows carry beside the figures. */
  readonly facts?: Readonly<Record<string, unknown>>;
  /** Columns after those of every workload. */
  readonly more?: readonly string[];
  run(policy: RoutingPolicyName, round: number): Promise<ArmResult>;
}

/** Runs a workload under each policy, rounds interleaved, and prints figures and ratios to least-outstanding. */
export async function compareArms({ report, rounds }: WorkloadContext, comparison: Comparison): Promise<void> {
  const { workload, title, policies = routingPolicies, facts = {}, more = [] } = comparison;
  const results = new Map<RoutingPolicyName, ArmResult[]>(policies.map((policy) => [policy, []]));
  for (let round = 0; round < rounds; round++) {
    for (const policy of round % 2 === 0 ? policies : policies.toReversed()) {
      const result = await comparison.run(policy, round);
      results.get(policy)?.push(result);
      report.add({ bench: "workloads", measure: workload, policy, round, ...facts, ...result });
    }
  }
  const base = results.get(BASE);
  const table = [["policy", "ok", "TTFT p50 ms", "p99", "÷ least-outstanding", "hit rate", ...more]];
  for (const [policy, list] of results) {
    const figure = (field: string): string =>
      shown(spread(list.map((each) => each[field] ?? Number.NaN)), field.endsWith("Ms") ? 0 : 2);
    const ratio = spread(list.map((each, round) => each.ttftP50Ms / (base?.[round]?.ttftP50Ms ?? Number.NaN)));
    const p99 = spread(list.map((each, round) => each.ttftP99Ms / (base?.[round]?.ttftP99Ms ?? Number.NaN)));
    if (policy !== BASE)
      report.add({
        bench: "workloads",
        measure: `${workload}: TTFT ÷ ${BASE}`,
        policy,
        rounds,
        ...facts,
        p50: ratio,
        p99,
      });
    table.push([
      policy,
      figure("ok"),
      figure("ttftP50Ms"),
      figure("ttftP99Ms"),
      shown(ratio),
      figure("hitRate"),
      ...more.map(figure),
    ]);
  }
  console.log(`\n${workload}: ${title}`);
  printTable(table);
}
