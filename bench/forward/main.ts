/**
 * What it costs that a request goes through another daemon: two daemons on this machine, the first with no model and
 * the second with the stub engine, the same requests sent to the first (which forwards them over gRPC) and to the
 * second.
 * `node bench/forward/main.ts [--rounds N] [--seconds N]`, after `npm run build`; needs nothing but this folder and
 * bench/lib.
 */
import { fork } from "node:child_process";
import { once } from "node:events";
import { mkdir, mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs } from "node:util";
import { type Arm, startArm } from "../lib/arm.ts";
import type { LoadOrder, LoadResult } from "../lib/load.ts";
import { benchRoot, printTable, Report } from "../lib/report.ts";
import { quantile, shown, spread } from "../lib/statistics.ts";

const { values } = parseArgs({
  options: { rounds: { type: "string", default: "5" }, seconds: { type: "string", default: "2" } },
});
const ROUNDS = Number(values.rounds);
const DURATION_MS = Number(values.seconds) * 1000;
const CHUNKS = 200;
const STREAMS = 8;
const ANSWER_WITHIN_MS = 60_000;
const UP_WITHIN_MS = 30_000;
const CLIENTS = [1, 8] as const;

/** Of one arm in one round. */
interface Sample {
  readonly p50Us: readonly number[];
  readonly p99Us: readonly number[];
  readonly perSecond: readonly number[];
  readonly gapP99Us: number;
}

type Send = (order: LoadOrder) => Promise<LoadResult>;

async function measure(arm: Arm, send: Send): Promise<Sample> {
  const results: LoadResult[] = [];
  for (const clients of CLIENTS)
    results.push(
      await arm.whileAlive(send({ port: arm.port, key: "", clients, durationMs: DURATION_MS, streamed: false })),
    );
  const streams = await arm.whileAlive(
    send({ port: arm.port, key: "", clients: STREAMS, durationMs: 0, streamed: true }),
  );
  if (streams.events !== STREAMS * (CHUNKS + 2))
    throw new Error(`${arm.name} delivered ${streams.events} events of ${STREAMS * (CHUNKS + 2)}`);
  return {
    p50Us: results.map(({ latenciesUs }) => quantile(latenciesUs, 0.5)),
    p99Us: results.map(({ latenciesUs }) => quantile(latenciesUs, 0.99)),
    perSecond: results.map(({ requests, seconds }) => requests / seconds),
    gapP99Us: quantile(streams.latenciesUs, 0.99),
  };
}

/** The first daemon needs a moment to hear what the second has. */
async function untilServed(port: number): Promise<void> {
  const body = JSON.stringify({ model: "stub", messages: [{ role: "user", content: "Hello" }] });
  for (const until = performance.now() + UP_WITHIN_MS; ; await sleep(100)) {
    const answer = await fetch(`http://127.0.0.1:${port}/v1/chat/completions`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body,
    });
    const text = await answer.text();
    if (answer.status === 200) return;
    if (performance.now() > until) throw new Error(`not served within ${UP_WITHIN_MS} ms: ${answer.status} ${text}`);
  }
}

function report(samples: ReadonlyMap<string, readonly Sample[]>): void {
  const out = new Report("forward");
  const [straight, forwarded] = [samples.get("straight") ?? [], samples.get("forwarded") ?? []];
  const rows = [["", "straight", "forwarded", "forwarded − straight", "÷"]];
  const line = (measureName: string, value: (sample: Sample) => number): void => {
    const of = (list: readonly Sample[]): ReturnType<typeof spread> => spread(list.map(value));
    const pairs = forwarded.map((sample, round) => [value(sample), value(straight[round] as Sample)] as const);
    const [added, ratio] = [spread(pairs.map(([a, b]) => a - b)), spread(pairs.map(([a, b]) => a / b))];
    out.add({
      bench: "forward",
      measure: measureName,
      rounds: ROUNDS,
      straight: of(straight),
      forwarded: of(forwarded),
      added,
      ratio,
    });
    rows.push([measureName, shown(of(straight), 0), shown(of(forwarded), 0), shown(added, 0), shown(ratio)]);
  };
  for (const [index, clients] of CLIENTS.entries()) {
    line(`p50 µs, ${clients} at a time`, ({ p50Us }) => p50Us[index] ?? Number.NaN);
    line(`p99 µs, ${clients} at a time`, ({ p99Us }) => p99Us[index] ?? Number.NaN);
    line(`requests/s, ${clients} at a time`, ({ perSecond }) => perSecond[index] ?? Number.NaN);
  }
  line("gap between chunks p99 µs", ({ gapP99Us }) => gapP99Us);
  console.log("");
  printTable(rows);
  console.log(`\nkept in ${out.save({ rounds: ROUNDS })}`);
}

const directory = await mkdtemp(join(tmpdir(), "bench-forward-"));
const load = fork(join(benchRoot, "lib/load.ts"), { stdio: ["ignore", "inherit", "inherit", "ipc"] });
await once(load, "message");
const send: Send = async (wanted) => {
  load.send(wanted);
  const [result] = (await once(load, "message", {
    signal: AbortSignal.timeout(wanted.durationMs + ANSWER_WITHIN_MS),
  })) as [LoadResult];
  if (result.failures > 0) throw new Error(`${result.failures} requests failed`);
  return result;
};
try {
  const [first, second] = [join(directory, "first"), join(directory, "second")];
  for (const folder of [first, second]) await mkdir(folder);
  const program = join(benchRoot, "forward/daemon.ts");
  await using straight = await startArm("straight", program, { directory: second, other: null });
  await using forwarded = await startArm("forwarded", program, {
    directory: first,
    other: await readFile(join(second, "grpc"), "utf8"),
  });
  const arms = [straight, forwarded];
  for (const { port } of arms) await untilServed(port);
  for (const arm of arms) await measure(arm, send);
  const samples = new Map<string, Sample[]>(arms.map(({ name }) => [name, []]));
  for (let round = 0; round < ROUNDS; round++) {
    // Another order each round, so that no arm always runs after the same one.
    for (const arm of round % 2 === 0 ? arms : [...arms].reverse())
      samples.get(arm.name)?.push(await measure(arm, send));
  }
  report(samples);
} finally {
  load.disconnect();
  await rm(directory, { recursive: true, force: true });
}
