import { execFile } from "node:child_process";
import { readFile } from "node:fs/promises";

export interface GroupUse {
  /** Resident, including pages of mapped files (the weights). */
  readonly memoryBytes: number;
  /** Resident without such pages: unavailable to others while it runs. All of it if the system does not distinguish. */
  readonly heldBytes: number;
  readonly cpuMs: number;
}

/**
 * Resident memory and processor time of an engine and its children; null if it has exited. A few small reads on Linux,
 * one `ps` elsewhere.
 */
export const groupUse = (pid: number): Promise<GroupUse | null> =>
  process.platform === "linux" ? treeUse(pid) : psUse(pid);

// The kernel reports 100 ticks per second to user programs on every architecture that Node supports.
const MS_PER_TICK = 10;

async function treeUse(pid: number): Promise<GroupUse | null> {
  try {
    const [status, stat, children] = await Promise.all([
      readFile(`/proc/${pid}/status`, "utf8"),
      readFile(`/proc/${pid}/stat`, "utf8"),
      readFile(`/proc/${pid}/task/${pid}/children`, "utf8").catch(() => ""),
    ]);
    const kib = (name: string): number => Number(new RegExp(`^${name}:\\s+(\\d+) kB`, "m").exec(status)?.[1] ?? 0);
    const own = { memoryBytes: kib("VmRSS") * 1024, heldBytes: (kib("RssAnon") + kib("RssShmem")) * 1024 };
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    const cpuMs = (Number(fields[11]) + Number(fields[12])) * MS_PER_TICK;
    const pids = children.split(" ").filter((text) => text !== "");
    const uses = await Promise.all(pids.map((child) => treeUse(Number(child))));
    return uses.filter((use) => use !== null).reduce<GroupUse>(add, { ...own, cpuMs });
  } catch {
    return null;
  }
}

const add = (a: GroupUse, b: GroupUse): GroupUse => ({
  memoryBytes: a.memoryBytes + b.memoryBytes,
  heldBytes: a.heldBytes + b.heldBytes,
  cpuMs: a.cpuMs + b.cpuMs,
});

function psUse(pid: number): Promise<GroupUse | null> {
  return new Promise((resolve) => {
    execFile(
      "ps",
      ["-A", "-o", "pgid=,rss=,time="],
      { env: { PATH: "/bin:/usr/bin", LC_ALL: "C" }, timeout: 5_000 },
      (error, stdout) => {
        const rows = stdout
          .split("\n")
          .map((line) => line.trim().split(/\s+/))
          .filter(([group]) => Number(group) === pid);
        if (error || rows.length === 0) return resolve(null);
        const memoryBytes = rows.reduce((sum, row) => sum + Number(row[1]) * 1024, 0);
        resolve({
          memoryBytes,
          heldBytes: memoryBytes,
          cpuMs: rows.reduce((sum, row) => sum + clockMs(row[2] ?? ""), 0),
        });
      },
    );
  });
}

/** `[[dd-]hh:]mm:ss[.cc]` */
function clockMs(text: string): number {
  const [days, clock] = text.includes("-") ? text.split("-") : ["0", text];
  const seconds = (clock ?? "").split(":").reduce((sum, part) => sum * 60 + Number(part), 0);
  return (Number(days) * 86_400 + seconds) * 1000;
}
