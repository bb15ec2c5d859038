/** A program and all it started, from /proc. */
import { readdirSync, readFileSync } from "node:fs";

export interface Process {
  readonly pid: number;
  readonly parent: number;
  /** In ticks since the machine's start: with the pid it names a process for good. */
  readonly startedAt: number;
}

/** One line of /proc/PID/stat; the name in brackets may hold anything. */
export function parseStat(text: string): Process {
  const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
  const field = (index: number): number => Number(fields[index]);
  return { pid: Number.parseInt(text, 10), parent: field(1), startedAt: field(19) };
}

/** `root` and its descendants; what `leaveOut` says yes to is left out with its own descendants. */
export function treeOf(
  root: number,
  processes: readonly Process[],
  leaveOut: (pid: number) => boolean = () => false,
): Process[] {
  const found = processes.filter(({ pid }) => pid === root);
  for (const one of found) found.push(...processes.filter(({ pid, parent }) => parent === one.pid && !leaveOut(pid)));
  return found;
}

export function processes(): Process[] {
  const pids = readdirSync("/proc").filter((name) => /^\d+$/.test(name));
  return pids.flatMap((pid) => {
    const text = read(`/proc/${pid}/stat`);
    return text === "" ? [] : [parseStat(text)];
  });
}

/** The stub belongs to no peer, even where a peer has started it. */
export const isStub = (pid: number): boolean => /stub-upstream\.ts|router-child\.ts/.test(read(`/proc/${pid}/cmdline`));

function read(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch {
    return "";
  }
}
