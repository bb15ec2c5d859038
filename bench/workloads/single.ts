/** Workloads where one daemon is compared with itself, or with a bound. */
import { execFile } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";
import { seededRandom } from "../../test/support/random.ts";
import { benchRoot, printTable } from "../lib/report.ts";
import { shown, spread } from "../lib/statistics.ts";
import { poissonGapMs } from "../sim/requests.ts";
import { largeGpu } from "../stub/parameters.ts";
import type { WorkloadContext } from "./arms.ts";
import { installStubs, SPEED } from "./installation.ts";
import { errorsOf, figures, type Planned, requireRight, type Sent, send } from "./plan.ts";
import type { PromptPart } from "./prompts.ts";

const user = (seed: string, tokens: number): PromptPart[] => [{ role: "user", seed, tokens }];

/** W6: a client with a few requests a second, alone and beside one who sends twice what can be done. */
export async function flooder({ report, rounds }: WorkloadContext): Promise<void> {
  const instances = 2;
  const forMs = 15_000;
  const tokens = 2000;
  const lightPerSecond = 5;
  // The light client comes at the same moments in both runs, so that it meets itself as often.
  const flow = (tag: string, run: string, perSecond: number, firstId: number, seed: number): Planned[] => {
    const random = seededRandom(seed);
    const list: Planned[] = [];
    for (let atMs = 500 * random(); atMs < forMs; atMs += poissonGapMs(random, perSecond)) {
      const id = firstId + list.length;
      list.push({
        id,
        tag,
        atMs,
        model: "m",
        prompt: user(`${tag} ${run} ${seed} ${id}`, tokens),
        maxTokens: 30,
        key: tag,
        background: tag === "flooder",
      });
    }
    return list;
  };
  const ratios: number[] = [];
  for (let round = 0; round < rounds; round++) {
    await using daemon = await installStubs({
      tenants: ["light", "flooder"],
      models: { m: { replicas: instances, slots: 8, contextTokens: 8192 } },
    });
    const run = (requests: readonly Planned[]): Promise<Sent[]> =>
      send({ port: daemon.port, requests, patienceMs: 60_000 });
    const flood = (2 * instances * largeGpu.prefillTokensPerSecond * SPEED) / tokens;
    const quiet = await run(flow("light", "alone", lightPerSecond, 0, 100 + round));
    const all = await run([
      ...flow("light", "beside", lightPerSecond, 0, 100 + round),
      ...flow("flooder", "", flood, 10_000, 300 + round),
    ]);
    for (const sent of [quiet, all]) requireRight("W6", sent);
    const [alone, beside, flooded] = [figures(quiet, "light"), figures(all, "light"), figures(all, "flooder")];
    const lateness = await daemon.lateness("m");
    for (const [client, result] of Object.entries({ alone, beside, flooded })) {
      report.add({ bench: "workloads", measure: "W6", client, round, ...result, ...lateness });
    }
    ratios.push(beside.ttftP99Ms / alone.ttftP99Ms);
  }
  report.add({
    bench: "workloads",
    measure: "W6: light client's TTFT p99, beside a flooder ÷ alone",
    goal: "≤ 1.5",
    rounds,
    ...spread(ratios),
  });
  console.log(`\nW6: light client's TTFT p99 beside a flooder ÷ alone: ${shown(spread(ratios))}, goal ≤ 1.5`);
}

/** W7: two models in turn with room for one. First in, first out would load for every request. */
export async function swaps({ report, rounds }: WorkloadContext): Promise<void> {
  const ratios: number[] = [];
  for (let round = 0; round < rounds; round++) {
    const model = { cold: true, slots: 4, contextTokens: 8192, stub: { weightsBytes: 2 * 2 ** 30 } };
    await using daemon = await installStubs({
      maxInstances: 1,
      scheduler: "max_swap_wait_s = 4",
      models: { first: model, second: model },
    });
    const requests = Array.from({ length: 100 }, (_, id): Planned => {
      const name = id % 2 === 0 ? "first" : "second";
      return { id, tag: name, atMs: id * 150, model: name, prompt: user(`for the ${name}, ${id}`, 500), maxTokens: 20 };
    });
    const sent = await send({ port: daemon.port, requests, patienceMs: 60_000 });
    const result = figures(sent);
    requireRight("W7", sent);
    const loads = (await daemon.launches("first")) + (await daemon.launches("second"));
    ratios.push(loads / requests.length);
    report.add({ bench: "workloads", measure: "W7", round, loads, loadsFirstInFirstOut: requests.length, ...result });
  }
  report.add({
    bench: "workloads",
    measure: "W7: loads ÷ those of first in, first out",
    goal: "≤ 0.2",
    rounds,
    ...spread(ratios),
  });
  console.log(`\nW7: loads ÷ those of first in, first out: ${shown(spread(ratios))}, goal ≤ 0.2`);
}

/** W9: most clients leave at random moments; nothing may be held afterwards. */
export async function cancels({ report }: WorkloadContext): Promise<void> {
  const program = join(benchRoot, "cancel-storm.ts");
  // It exits with 1 where something leaked, which its rows say better.
  const { stdout } = await promisify(execFile)(process.execPath, [
    program,
    "--requests",
    "4000",
    "--clients",
    "32",
  ]).catch((error: { stdout?: string }) => ({
    stdout: error.stdout ?? "",
  }));
  const rows = stdout.split("\n").filter((line) => line.startsWith("{"));
  if (rows.length === 0) throw new Error("the cancel storm gave no result");
  for (const line of rows) report.add({ ...(JSON.parse(line) as object), bench: "workloads", measure: "W9" });
}

/**
 * W10: engines that die, stall, reset and refuse. Whatever is said to be complete has to be right, and nobody may wait
 * for ever.
 */
export async function chaos({ report, rounds }: WorkloadContext): Promise<void> {
  const table = [["round", "requests", "ok", "told of a failure", "refused", "hung", "wrong", "launches"]];
  for (let round = 0; round < rounds; round++) {
    const faults = { die: 0.01, dieEarly: 0.01, reset: 0.02, stall: 0.005, error: 0.01, busy: 0.01 };
    await using daemon = await installStubs({
      scheduler: "wedge_after_s = 3",
      models: { m: { replicas: 3, slots: 4, contextTokens: 8192, stub: { faults, seed: 1 + round } } },
    });
    const random = seededRandom(10 + round);
    const requests: Planned[] = [];
    for (let atMs = 0; atMs < 15_000; atMs += poissonGapMs(random, 14)) {
      const id = requests.length;
      requests.push({
        id,
        tag: "chaos",
        atMs,
        model: "m",
        prompt: user(`chaos ${round} ${id}`, 200 + Math.floor(1500 * random())),
        maxTokens: 20 + Math.floor(60 * random()),
        stream: random() < 0.7,
      });
    }
    const sent = await send({ port: daemon.port, requests, patienceMs: 60_000 });
    const result = figures(sent);
    const errors = errorsOf(sent);
    const launches = await daemon.launches("m");
    report.add({
      bench: "workloads",
      measure: "W10",
      round,
      goal: "hung and wrong 0",
      faults,
      launches,
      errors,
      ...result,
    });
    table.push(
      [round, result.requests, result.ok, result.failed, result.refused, result.hung, result.wrong, launches].map(
        String,
      ),
    );
  }
  console.log("\nW10: chaos");
  printTable(table);
}
