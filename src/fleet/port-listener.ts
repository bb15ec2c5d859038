import { readdir, readFile, readlink } from "node:fs/promises";
import { groupOf } from "./process-group.ts";
import { runTool } from "./run-tool.ts";

/**
 * Who answers on a loopback port: nobody yet, the engine or a process of its group, or somebody else. A request that was sent to somebody
 * else would show that program a user's prompt.
 */
export type PortListener = "nobody" | "engine" | "stranger";

const LSOF_TIMEOUT_MS = 5_000;

/** `group`: the engine's process group, which is the pid of its leader. Never rejects; what cannot be told is a stranger. */
export const listenerOf = (port: number, group: number): Promise<PortListener> =>
  (process.platform === "linux" ? bySockets(port, group) : byLsof(port, group)).catch(() => "stranger" as const);

/** State of a socket that listens, in /proc/net/tcp. */
const LISTENING = "0A";
/** Local addresses that take connections to 127.0.0.1: itself, any of IPv4, any of IPv6, and 127.0.0.1 within IPv6. */
const REACHED = new Set([
  "0100007F",
  "00000000",
  "00000000000000000000000000000000",
  "0000000000000000FFFF00000100007F",
]);

async function bySockets(port: number, group: number): Promise<PortListener> {
  const tables = await Promise.all([
    readFile("/proc/net/tcp", "utf8"),
    readFile("/proc/net/tcp6", "utf8").catch(() => ""),
  ]);
  const listening = new Set(tables.flatMap((table) => listeningSockets(table, port)));
  if (listening.size === 0) return "nobody";
  for (const socket of await socketsOf(group)) listening.delete(socket);
  return listening.size === 0 ? "engine" : "stranger";
}

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
