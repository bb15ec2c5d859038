import { readdir, readFile, readlink } from "node:fs/promises";
import { groupOf } from "./process-group.ts";
import { runTool } from "./run-tool.ts";

/**
 * Who answers on a loopback port: nobody yet, the engine or a process of its group, or somebody else. A request that
 * was sent to somebody else would show that program a user's prompt.
 */
export type PortListener = "nobody" | "engine" | "stranger";

const LSOF_TIMEOUT_MS = 5_000;

/**
 * Tells whose a port is, for as long as an engine has it. `group`: its process group, which is the pid of its leader.
 */
export class PortWatch {
  readonly #port: number;
  readonly #group: number;
  /** Sockets of the engine that listen on its port, as of the last look. */
  #own = new Set<string>();

  constructor(port: number, group: number) {
    this.#port = port;
    this.#group = group;
  }

  /** Never rejects; what cannot be told is a stranger. */
  look(): Promise<PortListener> {
    const look = process.platform === "linux" ? this.#bySockets() : byLsof(this.#port, this.#group);
    return look.catch(() => "stranger" as const);
  }

  /**
   * The same every few seconds while it runs: on Linux two small files, elsewhere nothing, as the look would start a
   * program.
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

/** State of a socket that listens, in /proc/net/tcp. */
const LISTENING = "0A";
/** Local addresses that take connections to 127.0.0.1: itself, any of IPv4, any of IPv6, and 127.0.0.1 within IPv6. */
const REACHED = new Set([
  "0100007F",
  "00000000",
  "00000000000000000000000000000000",
  "0000000000000000FFFF00000100007F",
]);

/** Names of the sockets that listen on the port, as /proc/PID/fd has them, of one of the tables of /proc/net. Pure. */
export function listeningSockets(table: string, port: number): string[] {
  const local = `:${port.toString(16).toUpperCase().padStart(4, "0")}`;
  return table.split("\n").flatMap((line) => {
    const [, address = "", , state, , , , , , inode] = line.trim().split(/\s+/);
    const host = address.slice(0, -local.length);
    return state === LISTENING && address.endsWith(local) && REACHED.has(host) ? [`socket:[${inode}]`] : [];
  });
}

/** What all processes of a group have open that is a socket. */
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
  // It ends with 1 where it finds nothing.
  if (result.outcome === "missing") return "stranger";
  const groups =
    result.outcome === "failed" ? [] : [...result.stdout.matchAll(/^g(\d+)$/gm)].map(([, id]) => Number(id));
  if (groups.length === 0) return "nobody";
  return groups.every((id) => id === group) ? "engine" : "stranger";
}
