/**
 * `npm run bench -- soak`: a million requests through the whole daemon in front of the stub, and what has grown with
 * their number.
 */
import { fork } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { pathToFileURL } from "node:url";
import { eventually } from "../test/support/assistant.ts";
import { descriptorsOf, residentBytes } from "../test/support/processes.ts";
import { startArm } from "./lib/arm.ts";
import type { LoadOrder, LoadResult } from "./lib/load.ts";
import { benchRoot, printTable, progress, Report } from "./lib/report.ts";
import type { Alive } from "./lib/soak-probe.ts";

const KEY = "bench-key";
const CLIENTS = 32;
/** The clients leave after this long, and new ones come: what a connection leaves behind counts as well. */
const ORDER_MS = 1_000;
const STEPS = 10;
/** A quiet daemon gives memory back within four minutes. */
const AFTERWARDS_MS = 250_000;

interface Sample {
  readonly requests: number;
  /** As the load has left it, before garbage is collected to see what is alive. */
  readonly rssBytes: number;
  readonly descriptors: number;
  /** Looked at in the first and the last sample alone: counting itself takes memory. */
  readonly alive: Alive | null;
}

export async function benchSoak({ requests }: { readonly requests: number }): Promise<void> {
  const directory = await mkdtemp(join(tmpdir(), "bench-soak-"));
  const load = fork(join(benchRoot, "lib/load.ts"), { stdio: ["ignore", "inherit", "inherit", "ipc"] });
  await once(load, "message");
  const probeFile = join(directory, "alive.json");
  const probe = pathToFileURL(join(benchRoot, "lib/soak-probe.ts"));
  probe.searchParams.set("out", probeFile);
  try {
    await using daemon = await startArm("daemon", join(benchRoot, "gateway/daemon.ts"), {
      directory,
      key: KEY,
      preload: probe.href,
    });
    const { pid } = (await daemon.usage()) as { readonly pid?: number };
    if (pid === undefined) throw new Error("the arm does not say which process it measures");
    const order: LoadOrder = { port: daemon.port, key: KEY, clients: CLIENTS, durationMs: ORDER_MS, streamed: false };
    const samples: Sample[] = [];
    let served = 0;
    let seconds = 0;
    while (served < requests) {
      load.send(order);
      const [result] = (await once(load, "message")) as [LoadResult];
      if (result.failures > 0) throw new Error(`${result.failures} requests failed after ${served}`);
      served += result.requests;
      seconds += result.seconds;
      if (served >= (requests * (samples.length + 1)) / STEPS) {
        progress(`${served} of ${requests} requests, ${Math.round(served / seconds)}/s`);
        const counts = samples.length === 0 || served >= requests;
        samples.push(await sample(pid, counts ? probeFile : null, served));
      }
    }
    progress(`quiet for ${AFTERWARDS_MS / 1000} s`);
    await delay(AFTERWARDS_MS);
    report(samples, served / seconds, await residentBytes(pid));
  } finally {
    load.disconnect();
    await rm(directory, { recursive: true, force: true });
  }
}

async function sample(pid: number, probeFile: string | null, requests: number): Promise<Sample> {
  const rssBytes = await residentBytes(pid);
  // Connections of clients that have left end within milliseconds; the engine's own are short.
  await delay(200);
  const descriptors = (await descriptorsOf(pid)).length;
  return { requests, rssBytes, descriptors, alive: probeFile === null ? null : await whatLives(pid, probeFile) };
}

async function whatLives(pid: number, probeFile: string): Promise<Alive> {
  await rm(probeFile, { force: true });
  process.kill(pid, "SIGUSR2");
  const text = await eventually("the daemon counts what it holds", () =>
    readFile(probeFile, "utf8").catch(() => undefined),
  );
  return JSON.parse(text) as Alive;
}

const mib = (bytes: number): number => Math.round((bytes / 2 ** 20) * 10) / 10;

function report(samples: readonly Sample[], requestsPerSecond: number, idleRssBytes: number): void {
  const out = new Report("soak");
  const table = [["requests", "RSS MiB", "descriptors", "live heap MiB", "timers", "sockets"]];
  for (const { requests, rssBytes, descriptors, alive } of samples) {
    const held = alive === null ? {} : { heapMib: mib(alive.heapBytes), timers: alive.timers, sockets: alive.sockets };
    out.add({ bench: "soak", measure: "sample", requests, rssMib: mib(rssBytes), descriptors, ...held });
    table.push(
      [requests, mib(rssBytes), descriptors, held.heapMib ?? "", held.timers ?? "", held.sockets ?? ""].map(String),
    );
  }
  const [first, last] = [samples[0], samples.at(-1)];
  if (!first?.alive || !last?.alive) throw new Error("no sample was taken");
  const growth = {
    rssMib: mib(last.rssBytes - first.rssBytes),
    descriptors: last.descriptors - first.descriptors,
    heapMib: mib(last.alive.heapBytes - first.alive.heapBytes),
    timers: last.alive.timers - first.alive.timers,
    sockets: last.alive.sockets - first.alive.sockets,
  };
  out.add({ bench: "soak", measure: "growth between 10 % and 100 %", ...growth, goal: "none" });
  table.push(["growth", ...Object.values(growth).map((value) => (value > 0 ? `+${value}` : String(value)))]);
  out.add({ bench: "soak", measure: "idle four minutes later", rssMib: mib(idleRssBytes), goal: "≤ 90" });
  console.log("");
  printTable(table);
  console.log(`\nidle four minutes later: ${mib(idleRssBytes)} MiB; ${Math.round(requestsPerSecond)} requests/s`);
  console.log(`kept in ${out.save({ requests: last.requests, clients: CLIENTS, requestsPerSecond })}`);
}
