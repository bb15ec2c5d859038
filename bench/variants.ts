/**
 * Compares daemons of several checkouts, such as one with and one without an optimisation: requests per second, p99 and
 * CPU per request with 32 clients, CPU per streamed chunk, and memory while idle and after the load. All run at once
 * and are measured in turns. Each checkout must be compiled (`./install.sh --dev`); the first one is what the others
 * are compared with.
 *
 *   npm run bench -- variants now=. other=../other-checkout [--rounds N] [--seconds N]
 */
import { fork } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs } from "node:util";
import { type Arm, startArm } from "./lib/arm.ts";
import type { LoadOrder, LoadResult } from "./lib/load.ts";
import { benchRoot, printTable, Report } from "./lib/report.ts";
import { quantile, shown, spread } from "./lib/statistics.ts";

const CHUNKS = 200;
const STREAMS = 32;
const CLIENTS = 32;
const KEY = "bench-key";
const ANSWER_WITHIN_MS = 60_000;
/** The daemon gives memory of its start back within two seconds. */
const IDLE_AFTER_MS = 5_000;
/** V8 takes some ten thousand requests to compile what is hot; a busy machine takes its time for them. */
const WARM_UP_REQUESTS = 25_000;
const WARM_UP_STEP_MS = 1_000;

const MEASURES = ["requestsPerSecond", "cpuPerRequestUs", "p99Us", "cpuPerChunkUs", "idleMiB", "loadedMiB"] as const;
type Sample = Record<(typeof MEASURES)[number], number>;

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { rounds: { type: "string", default: "7" }, seconds: { type: "string", default: "2" } },
});
const checkouts = positionals.map((text) => {
  const [name = "", directory = ""] = text.split("=");
  if (name === "" || directory === "") throw new Error(`expected NAME=DIRECTORY, got ${text}`);
  return { name, directory: resolve(directory) };
});
if (checkouts.length < 2) throw new Error("expected two checkouts or more: now=. other=../other-checkout");

const scratch = await mkdtemp(join(tmpdir(), "bench-variants-"));
await using stack = new AsyncDisposableStack();
stack.defer(() => rm(scratch, { recursive: true, force: true }));
const load = fork(join(benchRoot, "lib/load.ts"), { stdio: ["ignore", "inherit", "inherit", "ipc"] });
stack.defer(() => load.disconnect());
await once(load, "message");

async function send(arm: Arm, wanted: Omit<LoadOrder, "port" | "key">): Promise<LoadResult> {
  load.send({ ...wanted, port: arm.port, key: KEY });
  const signal = AbortSignal.timeout(wanted.durationMs + ANSWER_WITHIN_MS);
  const [result] = (await arm.whileAlive(once(load, "message", { signal }))) as [LoadResult];
  if (result.failures > 0) throw new Error(`${result.failures} requests of ${arm.name} failed`);
  return result;
}

const arms: { readonly arm: Arm; readonly idleMiB: number; readonly samples: Sample[] }[] = [];
for (const { name, directory } of checkouts) {
  const files = await mkdtemp(join(scratch, `${name}-`));
  const arm = stack.use(
    await startArm(name, join(directory, "bench/gateway/daemon.ts"), { directory: files, key: KEY }),
  );
  await sleep(IDLE_AFTER_MS);
  const idleMiB = (await arm.usage()).rssBytes / 2 ** 20;
  for (let requests = 0; requests < WARM_UP_REQUESTS; ) {
    requests += (await send(arm, { clients: CLIENTS, durationMs: WARM_UP_STEP_MS, streamed: false })).requests;
  }
  await send(arm, { clients: STREAMS, durationMs: 0, streamed: true });
  arms.push({ arm, idleMiB, samples: [] });
}

async function measure(arm: Arm, idleMiB: number): Promise<Sample> {
  const before = (await arm.usage()).cpuMs;
  const many = await send(arm, { clients: CLIENTS, durationMs: Number(values.seconds) * 1000, streamed: false });
  const between = (await arm.usage()).cpuMs;
  const streams = await send(arm, { clients: STREAMS, durationMs: 0, streamed: true });
  const after = await arm.usage();
  if (streams.events !== STREAMS * (CHUNKS + 2))
    throw new Error(`${arm.name} delivered ${streams.events} events of ${STREAMS * (CHUNKS + 2)}`);
  return {
    requestsPerSecond: many.requests / many.seconds,
    cpuPerRequestUs: ((between - before) * 1000) / many.requests,
    p99Us: quantile(many.latenciesUs, 0.99),
    cpuPerChunkUs: ((after.cpuMs - between) * 1000) / streams.events,
    idleMiB,
    loadedMiB: after.rssBytes / 2 ** 20,
  };
}

for (let round = 0; round < Number(values.rounds); round++) {
  // Each round begins with another one, so that none always runs after the same one.
  for (let turn = 0; turn < arms.length; turn++) {
    const one = arms[(round + turn) % arms.length] as (typeof arms)[number];
    one.samples.push(await measure(one.arm, one.idleMiB));
  }
}

const out = new Report("variants");
const first = arms[0] as (typeof arms)[number];
const table: string[][] = [["arm", ...MEASURES]];
for (const { arm, samples } of arms) {
  table.push([
    arm.name,
    ...MEASURES.map((measured) => {
      const figures = spread(samples.map((sample) => sample[measured]));
      const ratio = spread(
        samples.map((sample, round) => sample[measured] / (first.samples[round] as Sample)[measured]),
      );
      out.add({ bench: "variants", arm: arm.name, measure: measured, ...figures, ratio });
      return arm === first.arm ? figures.median.toFixed(1) : shown(ratio);
    }),
  ]);
}
console.log("");
printTable(table);
console.log(`\nkept in ${out.save({ rounds: values.rounds })}`);
