import { readdir, readFile, readlink } from "node:fs/promises";
import { groupOf } from "./process-group.ts";
import { runTool } from "./run-tool.ts";

/**
 * Who listens on a loopback port: no process yet, the engine or a process of its group, or another program. A request
 * sent to another program would show it a user's prompt.
 */
export type PortListener = "nobody" | "engine" | "stranger";

const LSOF_TIMEOUT_MS = 5_000;

/**
 * Determines who listens on a port while an engine uses it. `group`: the engine's process group, which is the pid of
 * its leader.
 */
export class PortWatch {
  readonly #port: number;
  readonly #group: number;
  /** Sockets of the engine that listen on its port, as of the last check. */
  #own = new Set<string>();

  constructor(port: number, group: number) {
    this.#port = port;
    this.#group = group;
  }

  /** Never rejects; an unknown listener counts as another program. */
  look(): Promise<PortListener> {
    const look = process.platform === "linux" ? this.#bySockets() : byLsof(this.#port, this.#group);
    return look.catch(() => "stranger" as const);
  }

  /**
   * The same every few seconds while the engine runs: on Linux it reads two small files; elsewhere it does nothing,
   * since it would start a program.
   */
  lookAgain(): Promise<PortListener> {
    return process.platform === "linux" ? this.look() : Promise.resolve("engine" as const);
  }

  async #bySockets(): Promise<PortListener> {
    const tables = await Promise.all([
      readFile("/proc/net/tcp", "utf8"),
      readFile("/proc/net/tcp6", "utf8").catch(() => ""),
    ]);
    const listening = tables.flatMap((table) => listeningSockets(table, this.#port));
    if (listening.length === 0) return "nobody";
    if (!listening.every((socket) => this.#own.has(socket))) this.#own = new Set(await socketsOf(this.#group));
    return listening.every((socket) => this.#own.has(socket)) ? "engine" : "stranger";
  }
}

/** State of a listening socket in /proc/net/tcp. */
const LISTENING = "0A";
/** Local addresses that accept connections to 127.0.0.1: itself, any IPv4, any IPv6, and IPv4-mapped 127.0.0.1. */
const REACHED = new Set([
  "0100007F",
  "00000000",
  "00000000000000000000000000000000",
  "0000000000000000FFFF00000100007F",
]);

/** Names of the sockets listening on the port, as in /proc/PID/fd, from one of the tables of /proc/net. Pure. */
export function listeningSockets(table: string, port: number): string[] {
  const local = `:${port.toString(16).toUpperCase().padStart(4, "0")}`;
  return table.split("\n").flatMap((line) => {
    const [, address = "", , state, , , , , , inode] = line.trim().split(/\s+/);
    const host = address.slice(0, -local.length);
    return state === LISTENING && address.endsWith(local) && REACHED.has(host) ? [`socket:[${inode}]`] : [];
  });
}

/** All open sockets of the processes in a group. */
async function socketsOf(group: number): Promise<string[]> {
  const pids = (await readdir("/proc")).filter((name) => /^\d+$/.test(name));
  const sockets = await Promise.all(
    pids.map(async (pid) => ((await groupOf(Number(pid))) === group ? await openSockets(pid) : [])),
  );
  return sockets.flat();
}

async function openSockets(pid: string): Promise<string[]> {
  const folder = `/proc/${pid}/fd`;
  const files = await readdir(folder).catch(() => []);
  const targets = await Promise.all(files.map((file) => readlink(`${folder}/${file}`).catch(() => "")));
  return targets.filter((target) => target.startsWith("socket:"));
}

async function byLsof(port: number, group: number): Promise<PortListener> {
  const env = { PATH: "/usr/sbin:/usr/bin:/sbin:/bin" };
  const result = await runTool("lsof", ["-nP", `-iTCP:${port}`, "-sTCP:LISTEN", "-Fg"], env, LSOF_TIMEOUT_MS);
  // It exits with 1 if it finds nothing.
  if (result.outcome === "missing") return "stranger";
  const groups =
    result.outcome === "failed" ? [] : [...result.stdout.matchAll(/^g(\d+)$/gm)].map(([, id]) => Number(id));
  if (groups.length === 0) return "nobody";
  return groups.every((id) => id === group) ? "engine" : "stranger";
}
