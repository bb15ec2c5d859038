import { performance } from "node:perf_hooks";
import { CapabilityIndex } from "../../src/inference/capability-index.ts";
import { handlerSpec } from "../../src/replicas/replicas.ts";

/**
 * How long it takes to find who offers a capability among 5,000 workers and 500 capabilities: the decision in the process,
 * and, with the URL of a daemon as argument, `GET /route` over HTTP with as many workers registered there.
 */
const [WORKERS, CAPABILITIES, LOOKS, ASKS] = [5_000, 500, 100_000, 2_000];
const capabilityOf = (worker: number) => ({
  type: `c${worker % CAPABILITIES}`,
  gpus: worker % 4,
  zone: worker % 2 === 0 ? "eu" : "us",
});
const percentiles = (times: number[]): object => {
  times.sort((a, b) => a - b);
  const at = (share: number): number => Math.round((times[Math.floor(times.length * share)] ?? 0) * 1000) / 1000;
  return { p50: at(0.5), p99: at(0.99) };
};

const models = new Map(
  Array.from({ length: CAPABILITIES }, (_, index) => [`c${index}`, handlerSpec(`c${index}`, {}, [], 1)]),
);
const index = new CapabilityIndex(
  Array.from({ length: WORKERS }, (_, worker) => {
    const capabilities = capabilityOf(worker);
    const model = models.get(capabilities.type);
    if (model === undefined) throw new Error("no such capability");
    return { model, capabilities };
  }),
);
const decisions: number[] = [];
for (let look = 0; look < LOOKS; look += 1) {
  const { type, gpus } = capabilityOf(look);
  const begun = performance.now();
  index.find({ type, gpus: String(gpus) }, () => true);
  decisions.push((performance.now() - begun) * 1000);
}
console.log(JSON.stringify({ workers: WORKERS, capabilities: CAPABILITIES, decisionUs: percentiles(decisions) }));

const [url] = process.argv.slice(2);
if (url !== undefined) {
  const leaving = new AbortController();
  const register = async (worker: number): Promise<void> => {
    const answer = await fetch(`${url}/register`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({
        replica_id: `w${worker}`,
        endpoint: `127.0.0.1:${10_000 + worker}`,
        capabilities: [capabilityOf(worker)],
      }),
      signal: leaving.signal,
    });
    await answer.body?.getReader().read();
  };
  for (let worker = 0; worker < WORKERS; worker += 100)
    await Promise.all(Array.from({ length: 100 }, (_, offset) => register(worker + offset)));
  const asked: number[] = [];
  for (let ask = 0; ask < ASKS; ask += 1) {
    const begun = performance.now();
    await (await fetch(`${url}/route?type=c${ask % CAPABILITIES}`)).json();
    asked.push(performance.now() - begun);
  }
  console.log(JSON.stringify({ registered: WORKERS, routeMs: percentiles(asked) }));
  leaving.abort();
}
