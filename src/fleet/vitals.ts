import { execFile } from "node:child_process";
import { readFile } from "node:fs/promises";

export interface GroupUse {
  readonly memoryBytes: number;
  readonly cpuMs: number;
}

/** Resident memory and processor time of an engine and its children; null once it is gone. A few small reads on Linux, one `ps` elsewhere. */
export const groupUse = (pid: number): Promise<GroupUse | null> => (process.platform === "linux" ? treeUse(pid) : psUse(pid));

// The kernel states ticks at 100 per second to user programs on every architecture Node runs on.
const MS_PER_TICK = 10;

async function treeUse(pid: number): Promise<GroupUse | null> {
  try {
    const [status, stat, children] = await Promise.all([
      readFile(`/proc/${pid}/status`, "utf8"),
      readFile(`/proc/${pid}/stat`, "utf8"),
      readFile(`/proc/${pid}/task/${pid}/children`, "utf8").catch(() => ""),
    ]);
    const memoryBytes = Number(/^VmRSS:\s+(\d+) kB/m.exec(status)?.[1] ?? 0) * 1024;
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    const cpuMs = (Number(fields[11]) + Number(fields[12])) * MS_PER_TICK;
    const pids = children.split(" ").filter((text) => text !== "");
    const uses = await Promise.all(pids.map((child) => treeUse(Number(child))));
    return uses.reduce<GroupUse>((sum, use) => ({ memoryBytes: sum.memoryBytes + (use?.memoryBytes ?? 0), cpuMs: sum.cpuMs + (use?.cpuMs ?? 0) }), {
      memoryBytes,
      cpuMs,
    });
  } catch {
    return null;
  }
}

function psUse(pid: number): Promise<GroupUse | null> {
  return new Promise((resolve) => {
    execFile("ps", ["-A", "-o", "pgid=,rss=,time="], { env: { PATH: "/bin:/usr/bin", LC_ALL: "C" }, timeout: 5_000 }, (error, stdout) => {
      const rows = stdout
        .split("\n")
        .map((line) => line.trim().split(/\s+/))
        .filter(([group]) => Number(group) === pid);
      if (error || rows.length === 0) return resolve(null);
      resolve({
        memoryBytes: rows.reduce((sum, row) => sum + Number(row[1]) * 1024, 0),
        cpuMs: rows.reduce((sum, row) => sum + clockMs(row[2] ?? ""), 0),
      });
    });
  });
}

/** `[[dd-]hh:]mm:ss[.cc]` */
function clockMs(text: string): number {
  const [days, clock] = text.includes("-") ? text.split("-") : ["0", text];
  const seconds = (clock ?? "").split(":").reduce((sum, part) => sum * 60 + Number(part), 0);
  return (Number(days) * 86_400 + seconds) * 1000;
}
