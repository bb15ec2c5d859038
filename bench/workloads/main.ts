/** Workloads through the whole daemon in front of stub engines, each under the routing policies where they matter. */
import { progress, Report } from "../lib/report.ts";
import { largeGpu } from "../stub/parameters.ts";
import type { WorkloadContext } from "./arms.ts";
import { SPEED } from "./installation.ts";
import { openLoop } from "./open-loop.ts";
import { agents, noReuse, traceReplay } from "./routing.ts";
import { cancels, chaos, flooder, swaps } from "./single.ts";
import { sizes } from "./sizes.ts";

const workloads: Readonly<Record<string, (context: WorkloadContext) => Promise<void>>> = {
  W1: openLoop,
  W3: traceReplay,
  W4: agents,
  W5: noReuse,
  W6: flooder,
  W7: swaps,
  W8: sizes,
  W9: cancels,
  W10: chaos,
};

export interface WorkloadsOptions {
  /** Names, or null for all. */
  readonly only: readonly string[] | null;
  readonly trace: string | null;
  readonly rounds: number;
}

/**
 * Prints a JSON line for each run and a table for each workload; keeps all in bench/results/workloads.json when none
 * was left out.
 */
export async function benchWorkloads({ only, trace, rounds }: WorkloadsOptions): Promise<void> {
  const unknown = only?.find((name) => !(name in workloads));
  if (unknown !== undefined) throw new Error(`--only names ${unknown}; there are ${Object.keys(workloads).join(", ")}`);
  const report = new Report("workloads");
  for (const [name, workload] of Object.entries(workloads)) {
    if (only !== null && !only.includes(name)) continue;
    progress(name);
    try {
      await workload({ report, rounds, trace });
    } catch (error) {
      // Minutes of the others' measuring are not thrown away for one.
      process.exitCode = 1;
      report.add({ bench: "workloads", measure: name, failed: (error as Error).message });
    }
  }
  if (only === null) console.log(`\nkept in ${report.save({ rounds, engine: largeGpu, speed: SPEED })}`);
}
