import { execFile } from "node:child_process";
import { readFile } from "node:fs/promises";

/**
 * When a process was started, as text that is only suitable for comparison: together with the pid it identifies one
 * process, even after the pid is reused. Null if no such process is running (a zombie is not).
 */
export async function processStartTime(pid: number): Promise<string | null> {
  if (!Number.isSafeInteger(pid) || pid <= 0) return null;
  return process.platform === "linux" ? fromProc(pid) : fromPs(pid);
}

/** Ticks since boot, with the boot's own id: after a reboot the same ticks mean another process. */
async function fromProc(pid: number): Promise<string | null> {
  try {
    const [stat, boot] = await Promise.all([readFile(`/proc/${pid}/stat`, "utf8"), bootId()]);
    // The name in parentheses may itself hold spaces and parentheses: count fields from the last one.
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    const [state] = fields;
    const ticks = fields[19];
    return state === "Z" || state === "X" || ticks === undefined ? null : `${boot}:${ticks}`;
  } catch {
    return null;
  }
}

/** Whether the machine has been restarted since a process was started; null where the text does not show it. */
export async function isBeforeBoot(startTime: string): Promise<boolean | null> {
  const [id = "", ticks] = startTime.split(":", 2);
  if (process.platform !== "linux" || ticks === undefined) return null;
  const current = await bootId();
  return id === "" || current === "" ? null : id !== current;
}

let boot: Promise<string> | null = null;

function bootId(): Promise<string> {
  boot ??= readFile("/proc/sys/kernel/random/boot_id", "utf8").then(
    (id) => id.trim(),
    () => "",
  );
  return boot;
}

function fromPs(pid: number): Promise<string | null> {
  return new Promise((resolve) => {
    // LC_ALL=C and UTC: the same moment must read the same whatever the caller's locale is.
    execFile(
      "ps",
      ["-o", "stat=,lstart=", "-p", String(pid)],
      { env: { PATH: "/bin:/usr/bin", LC_ALL: "C", TZ: "UTC" } },
      (error, stdout) => {
        const [state = "", ...start] = stdout.trim().split(/\s+/);
        resolve(error || state === "" || state.startsWith("Z") ? null : start.join(" "));
      },
    );
  });
}

/** Resident memory of this process, bytes; null where it cannot be read, as when every file descriptor is in use. */
export function ownResidentBytes(): number | null {
  try {
    return process.memoryUsage.rss();
  } catch {
    return null;
  }
}
