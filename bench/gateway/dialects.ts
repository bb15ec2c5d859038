/**
 * CPU per chunk of streams that are translated, beside that of OpenAI's chat, which is passed on as it is: the front of
 * the daemon before the stub, one dialect after the other in each round. The first round warms up and is not counted.
 *
 *   npm run bench -- dialects [NAME=CHECKOUT…] [--rounds N]
 *
 * Other checkouts, such as that of the commit before, are measured in the same rounds.
 */
import { fork } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { type Arm, startArm } from "../lib/arm.ts";
import type { LoadResult } from "../lib/load.ts";
import { benchRoot, printTable, Report } from "../lib/report.ts";
import { shown, spread } from "../lib/statistics.ts";

const CHUNKS = 1_000;
const EVERY_MS = 4;
const STREAMS = 16;
const KEY = "bench-key";
const ANSWER_WITHIN_MS = 60_000;
const CHAT = "/v1/chat/completions";
const PATHS = [CHAT, "/v1/messages", "/v1/responses"] as const;
const GOAL = 1.2;

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { rounds: { type: "string", default: "7" } },
});
const checkouts = ["now=.", ...positionals].map((text) => {
  const [name = "", directory = ""] = text.split("=");
  if (name === "" || directory === "") throw new Error(`expected NAME=DIRECTORY, got ${text}`);
  return { name, directory: name === "now" ? join(benchRoot, "..") : resolve(directory) };
});
const rounds = Number(values.rounds);

const scratch = await mkdtemp(join(tmpdir(), "bench-dialects-"));
await using stack = new AsyncDisposableStack();
stack.defer(() => rm(scratch, { recursive: true, force: true }));
const load = fork(join(benchRoot, "lib/load.ts"), { stdio: ["ignore", "inherit", "inherit", "ipc"] });
stack.defer(() => load.disconnect());
await once(load, "message");
const socketPath = join(scratch, "stub.sock");
const stub = { socketPath, chunks: CHUNKS, everyMs: EVERY_MS };
stack.use(await startArm("stub", join(benchRoot, "lib/stub-upstream.ts"), stub));
const arms: Arm[] = [];
for (const { name, directory } of checkouts) {
  const settings = { socketPath, key: KEY, logDirectory: join(scratch, name) };
  arms.push(stack.use(await startArm(name, join(directory, "bench/gateway/ours.ts"), settings)));
}

async function cpuPerChunkUs(arm: Arm, path: string): Promise<number> {
  const before = await arm.usage();
  load.send({ port: arm.port, key: KEY, clients: STREAMS, durationMs: 0, streamed: true, path });
  const signal = AbortSignal.timeout(ANSWER_WITHIN_MS);
  const [result] = (await arm.whileAlive(once(load, "message", { signal }))) as [LoadResult];
  const after = await arm.usage();
  // What is lost costs nothing.
  if (result.failures > 0 || result.events < STREAMS * CHUNKS)
    throw new Error(`${arm.name} delivered ${result.events} events of ${path}, and ${result.failures} requests failed`);
  return ((after.cpuMs - before.cpuMs) * 1000) / (STREAMS * CHUNKS);
}

const figures = new Map<string, number[]>();
for (let round = 0; round <= rounds; round++)
  for (const arm of round % 2 === 0 ? arms : [...arms].reverse())
    for (const path of PATHS) {
      const figure = await cpuPerChunkUs(arm, path);
      const key = `${arm.name} ${path}`;
      if (round > 0) figures.set(key, [...(figures.get(key) ?? []), figure]);
    }

const report = new Report("dialects");
const table: string[][] = [["arm", "path", "CPU µs/chunk", "÷ chat"]];
for (const { name } of checkouts) {
  const chat = figures.get(`${name} ${CHAT}`) as number[];
  for (const path of PATHS) {
    const found = figures.get(`${name} ${path}`) as number[];
    const ratio = spread(found.map((figure, round) => figure / (chat[round] as number)));
    const row = { bench: "dialects", arm: name, path, rounds };
    report.add({ ...row, measure: "cpuPerChunkUs", ...spread(found) });
    if (path !== CHAT) report.add({ ...row, measure: "÷ chat", goal: `≤ ${GOAL}`, ...ratio });
    table.push([name, path, spread(found).median.toFixed(1), path === CHAT ? "" : shown(ratio)]);
  }
}
console.log("");
printTable(table);
console.log(`\nkept in ${report.save({ rounds })}`);
process.exit(0);
