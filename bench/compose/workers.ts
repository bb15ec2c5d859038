/** What a worker behind the daemon costs, beside a bare skeleton, and what thousands of them cost. */
import { fork } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { type Arm, startArm } from "../lib/arm.ts";
import type { LoadOrder, LoadResult } from "../lib/load.ts";
import { benchRoot, Report } from "../lib/report.ts";
import { quantile, spread } from "../lib/statistics.ts";
import { decisionTimes } from "./worker-decisions.ts";

const KEY = "bench-key";
const WORKERS = 5000;
const AT_ONCE = 8;
const GOAL_RATIO = 1.3;
const GOAL_ROUTE_US = 50;

export async function benchWorkers({ rounds, seconds }: { rounds: number; seconds: number }): Promise<void> {
  const report = new Report("compose-workers");
  for (const [workers, names] of [
    [WORKERS, WORKERS],
    [WORKERS, 500],
    [WORKERS, 1],
  ] as const)
    report.add({
      bench: "compose",
      measure: "route",
      workers,
      names,
      goalUs: GOAL_ROUTE_US,
      ...decisionTimes(workers, names),
    });
  const load = fork(join(benchRoot, "lib/load.ts"), { stdio: ["ignore", "inherit", "inherit", "ipc"] });
  await once(load, "message");
  try {
    await using worker = await startArm("worker", join(benchRoot, "compose/worker-stub.ts"), {});
    const origin = `http://127.0.0.1:${worker.port}`;
    await using skeleton = await startArm("skeleton", join(benchRoot, "gateway/skeleton.ts"), { origin });
    const settings = { key: KEY, endpoint: `${origin}/v1/completion` };
    await using daemon = await startArm("daemon", join(benchRoot, "compose/worker-daemon.ts"), settings);
    const p50 = async (arm: Arm, durationMs: number): Promise<number> => {
      const order: LoadOrder = { port: arm.port, key: KEY, clients: 1, durationMs, streamed: false };
      load.send(order);
      const [result] = (await arm.whileAlive(once(load, "message"))) as [LoadResult];
      if (result.failures > 0) throw new Error(`${result.failures} requests to the arm "${arm.name}" failed`);
      return quantile(result.latenciesUs, 0.5);
    };
    const arms = [worker, skeleton, daemon];
    for (const arm of arms) await p50(arm, 4000);
    const ratios: number[] = [];
    const added: Record<string, number[]> = { skeleton: [], daemon: [] };
    for (let round = 0; round < rounds; round++) {
      const times = new Map<string, number>();
      for (const arm of round % 2 === 0 ? arms : arms.toReversed()) times.set(arm.name, await p50(arm, seconds * 1000));
      const over = (name: string): number => (times.get(name) ?? 0) - (times.get("worker") ?? 0);
      added["skeleton"]?.push(over("skeleton"));
      added["daemon"]?.push(over("daemon"));
      ratios.push(over("daemon") / over("skeleton"));
    }
    for (const [arm, values] of Object.entries(added))
      report.add({ bench: "compose", measure: "addedP50Us", arm, ...spread(values) });
    report.add({ bench: "compose", measure: "addedRatio", goal: GOAL_RATIO, ...spread(ratios) });
    report.add({
      bench: "compose",
      measure: "register",
      workers: WORKERS,
      ...(await registerMany(daemon.port, origin)),
    });
  } finally {
    load.disconnect();
  }
  console.log(`written: ${report.save()}`);
}

/** Milliseconds for each of the first tenth, and of the last: they are alike unless the whole is quadratic. */
async function registerMany(port: number, origin: string): Promise<{ firstMs: number; lastMs: number }> {
  const times: number[] = [];
  let next = 0;
  const work = async (): Promise<void> => {
    for (let index = next++; index < WORKERS; index = next++) {
      const begunAt = performance.now();
      const answer = await fetch(`http://127.0.0.1:${port}/v1.0/worker/register`, {
        method: "POST",
        headers: { "content-type": "application/json", authorization: `Bearer ${KEY}` },
        body: JSON.stringify({ name: `many-${index}`, endpoint: `${origin}/many/${index}` }),
      });
      if (answer.status !== 201) throw new Error(`registering failed: ${await answer.text()}`);
      times.push(performance.now() - begunAt);
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, work));
  const median = (values: readonly number[]): number =>
    quantile(
      values.toSorted((a, b) => a - b),
      0.5,
    );
  return { firstMs: median(times.slice(0, WORKERS / 10)), lastMs: median(times.slice(-WORKERS / 10)) };
}
