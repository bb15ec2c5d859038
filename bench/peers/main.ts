/** The daemon and the programs that do a part of its work, side by side in front of one stub that answers at once. */
import { fork } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Arm, startArm } from "../lib/arm.ts";
import { benchRoot, printTable, Report } from "../lib/report.ts";
import { quantile } from "../lib/statistics.ts";
import { armTable, figures, type Measured, MIN_CEILING, ratios, ratioTable, type Sample } from "./compare.ts";
import { type Found, findPeers } from "./find.ts";
import { requestOf } from "./launch.ts";
import type { PeerOrder, PeerResult } from "./load.ts";
import type { PeerSettings } from "./peer.ts";
import { contentOf } from "./wire.ts";

export interface PeersOptions {
  readonly rounds: number;
  /** Of each closed loop. */
  readonly seconds: number;
  /** Peers to measure; null: all. The direct, skeleton and daemon arms are always there. */
  readonly arms: readonly string[] | null;
  readonly llamaServer: string | null;
  readonly path: string;
}

const CHUNKS = 200;
const EVERY_MS = 10;
const STREAMS = 32;
const KEY = "bench-key";
const CLIENTS = [1, 8, 32] as const;
const WARM_UP_MS = 4000;
const REQUEST_TIMEOUT_MS = 30_000;
const STREAM_TIMEOUT_MS = 90_000;

/** One arm under way, and what became of it. */
interface Entry {
  readonly arm: Arm;
  readonly request: ReturnType<typeof requestOf>;
  readonly samples: Sample[];
  readonly failed: Record<string, string>;
}

type Load = (entry: Entry, order: Pick<PeerOrder, "clients" | "durationMs" | "streamed">) => Promise<PeerResult>;

export async function benchPeers({ rounds, seconds, arms, llamaServer, path }: PeersOptions): Promise<void> {
  const directory = mkdtempSync(join(tmpdir(), "bench-peers-"));
  const removeDirectory = (): void => rmSync(directory, { recursive: true, force: true });
  // The arms end themselves when their channel closes; this is all that would stay.
  process.on("exit", removeDirectory);
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, () => process.exit(130));
  const out = new Report("peers");
  await using stack = new AsyncDisposableStack();
  const load = startLoad();
  stack.defer(() => load.end());
  const socketPath = join(directory, "stub.sock");
  const start = async (name: string, program: string, settings: object, readyWithinMs = 60_000): Promise<Entry> => {
    const arm = stack.use(await startArm(name, join(benchRoot, program), settings, { readyWithinMs }));
    return { arm, request: requestOf(name, direct?.arm.port ?? 0), samples: [], failed: {} };
  };
  let direct: Entry | undefined;
  direct = await start("direct", "lib/stub-upstream.ts", { socketPath, chunks: CHUNKS, everyMs: EVERY_MS });
  const entries = [direct, await start("skeleton", "gateway/skeleton.ts", { socketPath })];
  entries.push(await start("daemon", "gateway/daemon.ts", { directory, key: KEY }));
  const versions: Record<string, string> = {};
  for (const found of findPeers(arms, { path, llamaServer })) {
    const entry = await startPeer(found, { port: direct.arm.port, socketPath }, start, out);
    if (entry === null) continue;
    entries.push(entry);
    if ("version" in found) versions[found.peer] = found.version;
  }
  await checkAnswers(entries, direct, load.run, out);
  await measureAll(entries, { rounds, durationMs: seconds * 1000 }, load.run);
  report(entries, direct, out);
  console.log(
    `\nkept in ${out.save({ rounds, seconds, streams: STREAMS, chunks: CHUNKS, everyMs: EVERY_MS, versions })}`,
  );
}

/** An arm that is not there, or does not start, is told of, and the run goes on without it. */
async function startPeer(
  found: Found,
  stub: PeerSettings["stub"],
  start: (name: string, program: string, settings: object, readyWithinMs?: number) => Promise<Entry>,
  out: Report,
): Promise<Entry | null> {
  const missing = (why: string): null => {
    out.add({ bench: "peers", measure: "arm", arm: found.peer, missing: why });
    return null;
  };
  if ("missing" in found) return missing(found.missing);
  const settings: PeerSettings = { peer: found.peer, program: found.program, stub };
  try {
    return await start(found.peer, "peers/peer.ts", settings, 120_000);
  } catch (error) {
    return missing(`it does not start: ${messageOf(error)}`);
  }
}

function startLoad(): { readonly run: Load; end(): Promise<void> } {
  const child = fork(join(benchRoot, "peers/load.ts"), { stdio: ["ignore", "inherit", "inherit", "ipc"] });
  const gone = once(child, "exit").then(([code]) =>
    Promise.reject(new Error(`the load generator ended with code ${String(code)}`)),
  );
  gone.catch(() => {});
  const ready = once(child, "message");
  let last: Promise<unknown> = ready;
  const ordered: Load = async ({ arm, request }, wanted) => {
    const timeoutMs = wanted.durationMs + (wanted.streamed ? STREAM_TIMEOUT_MS : REQUEST_TIMEOUT_MS);
    const headers = { Authorization: `Bearer ${KEY}`, ...request.headers };
    const order: PeerOrder = { port: arm.port, path: request.path, headers, ...wanted, timeoutMs };
    child.send(order);
    const [result] = (await Promise.race([once(child, "message"), gone])) as [PeerResult];
    return result;
  };
  // One after the other, also where nobody waits for the one before any more: an answer names no order.
  const run: Load = (entry, wanted) => {
    const result = Promise.race([last, gone]).then(() => ordered(entry, wanted));
    last = result.catch(() => {});
    return result;
  };
  return {
    run,
    end: async () => {
      if (child.connected) child.disconnect();
      await gone.catch(() => {});
    },
  };
}

/**
 * Whether each arm gives what the stub gives: the same bytes, or the same text in another form. What gives neither is
 * not measured.
 */
async function checkAnswers(entries: Entry[], direct: Entry, load: Load, out: Report): Promise<void> {
  const ask = async (entry: Entry, streamed: boolean): Promise<string> => {
    const result = await entry.arm.whileAlive(load(entry, { clients: 1, durationMs: 0, streamed }));
    if (result.failure !== null) throw new Error(result.failure);
    return result.body;
  };
  const expected = { whole: await ask(direct, false), streamed: await ask(direct, true) };
  for (const entry of entries) {
    const answers: Record<string, string> = {};
    for (const form of ["whole", "streamed"] as const) {
      try {
        const body = await ask(entry, form === "streamed");
        const same = contentOf(body, form === "streamed") === contentOf(expected[form], form === "streamed");
        answers[form] = body === expected[form] ? "the same bytes" : same ? "rewritten, the same text" : "another text";
        if (!same) entry.failed[form] = "another text than the stub's";
      } catch (error) {
        answers[form] = `failed: ${messageOf(error)}`;
        entry.failed[form] = messageOf(error);
      }
    }
    out.add({ bench: "peers", measure: "arm", arm: entry.arm.name, answers });
  }
}

async function measureAll(
  entries: readonly Entry[],
  plan: { readonly rounds: number; readonly durationMs: number },
  load: Load,
): Promise<void> {
  // V8 takes some ten thousand requests to compile what is hot, and the others are not cold either.
  for (const entry of entries)
    if (!entry.failed["whole"]) await load(entry, { clients: 32, durationMs: WARM_UP_MS, streamed: false });
  for (let round = 0; round < plan.rounds; round++) {
    // Another order each round, so that no arm always runs after the same one.
    for (const entry of round % 2 === 0 ? entries : [...entries].reverse()) {
      console.error(`round ${round + 1} of ${plan.rounds}: ${entry.arm.name}`);
      entry.samples.push({ ...(await closedLoops(entry, plan.durationMs, load)), ...(await streams(entry, load)) });
    }
  }
}

/** W0 and W1: one client, then more. */
async function closedLoops(entry: Entry, durationMs: number, load: Load): Promise<Sample> {
  const sample: Record<string, number> = {};
  for (const clients of CLIENTS) {
    if (entry.failed["whole"]) break;
    const result = await attempt(entry, "whole", () => load(entry, { clients, durationMs, streamed: false }));
    if (result === null) break;
    sample[`requestsPerSecond${clients}`] = result.requests / result.seconds;
    sample[`p50At${clients}Us`] = quantile(result.latenciesUs, 0.5);
    sample[`p99At${clients}Us`] = quantile(result.latenciesUs, 0.99);
  }
  return sample;
}

/** W2: paced streams. */
async function streams(entry: Entry, load: Load): Promise<Sample> {
  if (entry.failed["streamed"]) return {};
  const measured = await attempt(entry, "streamed", async () => {
    const before = await entry.arm.usage();
    const result = await load(entry, { clients: STREAMS, durationMs: 0, streamed: true });
    return { ...result, before, after: await entry.arm.usage() };
  });
  if (measured === null) return {};
  const { before, after, ...result } = measured;
  const expected = Array.from({ length: CHUNKS }, (_, index) => ` ${String(index).padStart(5, "0")}`).join("");
  if (result.requests !== STREAMS || result.contents.length !== 1 || result.contents[0] !== expected) {
    entry.failed["streamed"] =
      `${result.requests} of ${STREAMS} streams ended, with ${result.events} events; their text was not the stub's, or in another order`;
    return {};
  }
  const cpuPerChunkUs = ((after.cpuMs - before.cpuMs) * 1000) / (STREAMS * CHUNKS);
  return { cpuPerChunkUs, gapP99Us: quantile(result.latenciesUs, 0.99), rssBytes: after.rssBytes };
}

/** A failure is the arm's own and ends its part of the run, except where there is nothing to compare with then. */
async function attempt<T>(entry: Entry, form: string, work: () => Promise<T>): Promise<T | null> {
  try {
    const result = await entry.arm.whileAlive(work());
    const failure = (result as Partial<PeerResult>).failure ?? null;
    if (failure !== null) throw new Error(failure);
    return result;
  } catch (error) {
    if (["direct", "skeleton", "daemon"].includes(entry.arm.name)) throw error;
    entry.failed[form] ??= messageOf(error);
    console.error(`${entry.arm.name}: ${entry.failed[form]}`);
    return null;
  }
}

function report(entries: readonly Entry[], direct: Entry, out: Report): void {
  const measured = entries.map(({ arm, samples, failed }): Measured => ({ arm: arm.name, samples, failed }));
  const base = measured.find(({ arm }) => arm === direct.arm.name) as Measured;
  for (const arm of measured) {
    for (const row of figures(arm, base)) out.add(row);
    for (const [measure, failed] of Object.entries(arm.failed))
      out.add({ bench: "peers", arm: arm.arm, measure, failed });
  }
  const found = ratios(measured);
  for (const { arm, measure, goal, spread, met } of found)
    if (spread) out.add({ bench: "peers", arm: `daemon/${arm}`, measure, goal, met, ...spread });
  console.log("");
  printTable(armTable(measured, base));
  console.log(`\n* the stub alone gave less than ${MIN_CEILING} times as much: the figure is a lower bound\n`);
  printTable(ratioTable(found));
}

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));
