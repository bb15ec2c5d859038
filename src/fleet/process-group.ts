import { readFile } from "node:fs/promises";

/** The process group of a process, which is the pid of its leader; null once it is gone. Linux. */
export async function groupOf(pid: number): Promise<number | null> {
  const stat = await readFile(`/proc/${pid}/stat`, "utf8").catch(() => "");
  // The name in parentheses may itself contain spaces and parentheses.
  const group = stat.slice(stat.lastIndexOf(")") + 2).split(" ")[2];
  return group === undefined ? null : Number(group);
}
