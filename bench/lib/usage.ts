import { readdirSync, readFileSync } from "node:fs";

/** What a process uses. `cpuMs`: of its threads that still run, since their start. */
export interface Usage {
  readonly cpuMs: number;
  readonly rssBytes: number;
}

/**
 * From /proc, to the nanosecond: the times of `stat` are in ticks of 10 ms, a tenth of what a second of streams costs.
 * Zero for a process that has gone.
 */
export function usageOf(pid: number): Usage {
  let nanoseconds = 0;
  for (const thread of threadsOf(pid))
    nanoseconds += Number(read(`/proc/${pid}/task/${thread}/schedstat`).split(" ")[0] ?? 0);
  const rssKib = Number(/^VmRSS:\s+(\d+)/m.exec(read(`/proc/${pid}/status`))?.[1] ?? 0);
  return { cpuMs: nanoseconds / 1e6, rssBytes: rssKib * 1024 };
}

function threadsOf(pid: number): string[] {
  try {
    return readdirSync(`/proc/${pid}/task`);
  } catch {
    return [];
  }
}

function read(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch {
    return "";
  }
}
