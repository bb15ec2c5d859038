/**
 * Loaded into a daemon under soak (`--import …/soak-probe.ts?out=FILE`): at SIGUSR2 it collects garbage, counts what is
 * left, and writes that to FILE. A count of `process.getActiveResourcesInfo` would lack the timers that keep no process
 * alive.
 */
import { renameSync, writeFileSync } from "node:fs";
import { queryObjects } from "node:v8";

export interface Alive {
  readonly heapBytes: number;
  /** Timers that wait, and those that have fired or were cancelled and are still held. */
  readonly timers: number;
  readonly sockets: number;
}

const out = new URL(import.meta.url).searchParams.get("out");

if (out !== null) {
  const { Socket } = await import("node:net");
  const timer = setTimeout(() => {}, 0);
  const Timeout = timer.constructor as new () => unknown;
  clearTimeout(timer);
  process.on("SIGUSR2", () => {
    // The query collects before it counts.
    const timers = queryObjects(Timeout, { format: "count" });
    const sockets = queryObjects(Socket, { format: "count" });
    const alive: Alive = { heapBytes: process.memoryUsage().heapUsed, timers, sockets };
    writeFileSync(`${out}.new`, JSON.stringify(alive));
    renameSync(`${out}.new`, out);
  });
}
