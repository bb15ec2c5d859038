/**
 * What it costs to find who offers a capability among thousands of workers: the decision, and `GET /route` over HTTP.
 */
import { Agent, request } from "node:http";
import { join } from "node:path";
import { performance } from "node:perf_hooks";
import { CapabilityIndex } from "../../src/inference/capability-index.ts";
import { handlerSpec } from "../../src/replicas/replicas.ts";
import { type Arm, startArm } from "../lib/arm.ts";
import { benchRoot, Report } from "../lib/report.ts";
import { quantile } from "../lib/statistics.ts";

const KEY = "bench-key";
const [WORKERS, CAPABILITIES, DECISIONS, ASKS] = [5_000, 500, 100_000, 3_000];
const AT_ONCE = 50;
const GOAL_DECISION_US = 50;
const GOAL_ROUTE_MS = 1;

const capabilityOf = (worker: number) => ({
  type: `c${worker % CAPABILITIES}`,
  gpus: worker % 4,
  zone: worker % 2 === 0 ? "eu" : "us",
});

export async function benchCapabilities(): Promise<void> {
  const report = new Report("compose-capabilities");
  const common = { bench: "compose", workers: WORKERS, capabilities: CAPABILITIES };
  report.add({ ...common, measure: "decision", unit: "µs", goal: GOAL_DECISION_US, ...decisions() });
  await using worker = await startArm("worker", join(benchRoot, "compose/worker-stub.ts"), {});
  const settings = { key: KEY, endpoint: `http://127.0.0.1:${worker.port}/v1/completion` };
  await using daemon = await startArm("daemon", join(benchRoot, "compose/worker-daemon.ts"), settings);
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  const route = (): Promise<object> => routes(daemon, agent);
  await route();
  const leaving = new AbortController();
  try {
    const before = (await daemon.usage()).cpuMs;
    await registerAll(daemon, leaving.signal);
    const cpuUs = (((await daemon.usage()).cpuMs - before) / WORKERS) * 1000;
    report.add({ ...common, measure: "registration", unit: "µs of CPU", mean: Math.round(cpuUs) });
    report.add({ ...common, measure: "route over HTTP", unit: "ms", goal: GOAL_ROUTE_MS, ...(await route()) });
  } finally {
    leaving.abort();
    agent.destroy();
  }
  console.log(`written: ${report.save()}`);
}

function spreadOf(times: number[]): { readonly p50: number; readonly p99: number } {
  times.sort((a, b) => a - b);
  const at = (share: number): number => Math.round(quantile(times, share) * 1000) / 1000;
  return { p50: at(0.5), p99: at(0.99) };
}

function decisions(): object {
  const specs = Array.from({ length: CAPABILITIES }, (_, index) => handlerSpec(`c${index}`, {}, [], 1));
  const index = new CapabilityIndex(
    Array.from({ length: WORKERS }, (_, worker) => ({
      model: specs[worker % CAPABILITIES] as (typeof specs)[number],
      capabilities: capabilityOf(worker),
    })),
  );
  const times = Array.from({ length: DECISIONS }, (_, look) => {
    const { type, gpus } = capabilityOf(look);
    const begun = performance.now();
    index.find({ type, gpus: String(gpus) }, () => true);
    return (performance.now() - begun) * 1000;
  });
  return spreadOf(times);
}

/** Each registration lives as long as its stream, until the signal ends them all. */
async function registerAll({ port }: Arm, signal: AbortSignal): Promise<void> {
  let next = 0;
  const work = async (): Promise<void> => {
    for (let worker = next++; worker < WORKERS; worker = next++) {
      const answer = await fetch(`http://127.0.0.1:${port}/register`, {
        method: "POST",
        headers: { "content-type": "application/json", authorization: `Bearer ${KEY}` },
        body: JSON.stringify({
          replica_id: `w${worker}`,
          endpoint: `127.0.0.1:${10_000 + worker}`,
          capabilities: [capabilityOf(worker)],
        }),
        signal,
      });
      if (!answer.ok) throw new Error(`registering failed: ${await answer.text()}`);
      await answer.body?.getReader().read();
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, work));
}

/** One client, one request after another. */
async function routes({ port }: Arm, agent: Agent): Promise<object> {
  const ask = (path: string): Promise<void> =>
    new Promise((resolve, reject) => {
      const headers = { authorization: `Bearer ${KEY}` };
      request({ agent, host: "127.0.0.1", port, path, headers }, (answer) => {
        answer.resume();
        answer.once("end", resolve);
      })
        .once("error", reject)
        .end();
    });
  const times: number[] = [];
  for (let count = 0; count < ASKS; count += 1) {
    const begun = performance.now();
    await ask(`/route?type=c${count % CAPABILITIES}`);
    times.push(performance.now() - begun);
  }
  return spreadOf(times);
}
