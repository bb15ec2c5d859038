/**
 * Latency, requests per second and CPU per relayed chunk of the gateway alone and of the whole daemon, against the stub
 * without anything in front of it and a bare skeleton.
 */
import { fork } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Arm, startArm } from "../lib/arm.ts";
import type { LoadOrder, LoadResult } from "../lib/load.ts";
import { benchRoot, printTable, Report } from "../lib/report.ts";
import { quantile, shown, spread } from "../lib/statistics.ts";

const CHUNKS = 200;
const EVERY_MS = 10;
const STREAMS = 32;
const KEY = "bench-key";
const ANSWER_WITHIN_MS = 60_000;
const WARM_UP = [
  { clients: 32, durationMs: 4000, streamed: false },
  { clients: STREAMS, durationMs: 0, streamed: true },
] as const;

interface Sample {
  readonly requestsPerSecond1: number;
  readonly p50Us: number;
  readonly p99Us: number;
  readonly requestsPerSecond32: number;
  readonly p99At32Us: number;
  readonly cpuPerChunkUs: number;
  readonly gapP99Us: number;
}

export async function benchGateway({
  rounds,
  seconds,
}: {
  readonly rounds: number;
  readonly seconds: number;
}): Promise<void> {
  const directory = await mkdtemp(join(tmpdir(), "bench-gateway-"));
  const socketPath = join(directory, "stub.sock");
  const load = fork(join(benchRoot, "lib/load.ts"), { stdio: ["ignore", "inherit", "inherit", "ipc"] });
  await once(load, "message");
  const order = async (wanted: LoadOrder): Promise<LoadResult> => {
    load.send(wanted);
    // An arm that answers no more must not hold the bench for ever.
    const [result] = (await once(load, "message", {
      signal: AbortSignal.timeout(wanted.durationMs + ANSWER_WITHIN_MS),
    })) as [LoadResult];
    if (result.failures > 0) throw new Error(`${result.failures} requests failed`);
    return result;
  };
  try {
    await using stub = await startArm("direct", join(benchRoot, "lib/stub-upstream.ts"), {
      socketPath,
      chunks: CHUNKS,
      everyMs: EVERY_MS,
    });
    await using skeleton = await startArm("skeleton", join(benchRoot, "gateway/skeleton.ts"), { socketPath });
    await using gateway = await startArm("gateway", join(benchRoot, "gateway/ours.ts"), {
      socketPath,
      key: KEY,
      logDirectory: join(directory, "log"),
    });
    await using daemon = await startArm("daemon", join(benchRoot, "gateway/daemon.ts"), { directory, key: KEY });
    await compare([stub, skeleton, gateway, daemon], rounds, seconds * 1000, order);
  } finally {
    load.disconnect();
    await rm(directory, { recursive: true, force: true });
  }
}

/** Those of ours that are measured: the front of the daemon with an engine that is always free, and all of it. */
const PARTS = ["gateway", "daemon"] as const;

type Order = (order: LoadOrder) => Promise<LoadResult>;

async function compare(arms: readonly Arm[], rounds: number, durationMs: number, order: Order): Promise<void> {
  const samples = new Map<string, Sample[]>(arms.map((arm) => [arm.name, []]));
  // V8 takes some ten thousand requests to compile what is hot, in every arm.
  for (const arm of arms)
    for (const warmUp of WARM_UP) await arm.whileAlive(order({ port: arm.port, key: KEY, ...warmUp }));
  for (let round = 0; round < rounds; round++) {
    // Another order each round, so that no arm always runs after the same one.
    for (const arm of round % 2 === 0 ? arms : [...arms].reverse())
      samples.get(arm.name)?.push(await measure(arm, durationMs, order));
  }
  report(samples, rounds);
}

async function measure(arm: Arm, durationMs: number, send: Order): Promise<Sample> {
  const order: Order = (wanted) => arm.whileAlive(send(wanted));
  const one = await order({ port: arm.port, key: KEY, clients: 1, durationMs, streamed: false });
  const many = await order({ port: arm.port, key: KEY, clients: 32, durationMs, streamed: false });
  const before = arm.name === "direct" ? 0 : (await arm.usage()).cpuMs;
  const streams = await order({ port: arm.port, key: KEY, clients: STREAMS, durationMs: 0, streamed: true });
  const cpuMs = arm.name === "direct" ? 0 : (await arm.usage()).cpuMs - before;
  // Every event arrives, or the figures are worth nothing: the chunks, the one with the timings, and [DONE].
  if (streams.events !== STREAMS * (CHUNKS + 2))
    throw new Error(`${arm.name} delivered ${streams.events} events of ${STREAMS * (CHUNKS + 2)}`);
  return {
    requestsPerSecond1: one.requests / one.seconds,
    p50Us: quantile(one.latenciesUs, 0.5),
    p99Us: quantile(one.latenciesUs, 0.99),
    requestsPerSecond32: many.requests / many.seconds,
    p99At32Us: quantile(many.latenciesUs, 0.99),
    cpuPerChunkUs: (cpuMs * 1000) / streams.events,
    gapP99Us: quantile(streams.latenciesUs, 0.99),
  };
}

function report(samples: ReadonlyMap<string, readonly Sample[]>, rounds: number): void {
  const out = new Report("gateway");
  const of = (arm: string): readonly Sample[] => samples.get(arm) ?? [];
  const table: string[][] = [
    ["arm", "req/s, 1", "req/s, 32", "p50 µs", "p99 µs", "p99 µs, 32", "CPU µs/chunk", "gap p99 ms"],
  ];
  for (const [arm, rows] of samples) {
    const figures = (field: keyof Sample): ReturnType<typeof spread> => spread(rows.map((row) => row[field]));
    for (const field of Object.keys(rows[0] ?? {}) as (keyof Sample)[])
      out.add({ bench: "gateway", arm, measure: field, rounds, ...figures(field) });
    const cell = (field: keyof Sample, scale = 1, digits = 0): string =>
      (figures(field).median / scale).toFixed(digits);
    table.push([
      arm,
      cell("requestsPerSecond1"),
      cell("requestsPerSecond32"),
      cell("p50Us"),
      cell("p99Us"),
      cell("p99At32Us"),
      cell("cpuPerChunkUs", 1, 1),
      cell("gapP99Us", 1000, 2),
    ]);
  }
  const ratios: string[][] = [["÷ skeleton", "goal", ...PARTS]];
  const compared = (
    measure: string,
    goal: string,
    value: (part: Sample, skeleton: Sample, direct: Sample) => number,
  ): void => {
    const cells = PARTS.map((name) => {
      const figures = spread(
        of(name).map((sample, round) => value(sample, of("skeleton")[round] as Sample, of("direct")[round] as Sample)),
      );
      out.add({ bench: "gateway", arm: `${name}/skeleton`, measure, goal, rounds, ...figures });
      return shown(figures);
    });
    ratios.push([measure, goal, ...cells]);
  };
  compared(
    "added p50",
    "≤ 1.3",
    (part, skeleton, direct) => (part.p50Us - direct.p50Us) / (skeleton.p50Us - direct.p50Us),
  );
  compared("added p99", "", (part, skeleton, direct) => (part.p99Us - direct.p99Us) / (skeleton.p99Us - direct.p99Us));
  compared("requests/s at 1", "", (part, skeleton) => part.requestsPerSecond1 / skeleton.requestsPerSecond1);
  compared("requests/s at 32", "≥ 0.8", (part, skeleton) => part.requestsPerSecond32 / skeleton.requestsPerSecond32);
  compared("CPU per chunk", "≤ 0.7", (part, skeleton) => part.cpuPerChunkUs / skeleton.cpuPerChunkUs);
  console.log("");
  printTable(table);
  console.log("");
  printTable(ratios);
  console.log(`\nkept in ${out.save({ rounds })}`);
}
