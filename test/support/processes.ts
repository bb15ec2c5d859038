import { readdir, readFile, readlink } from "node:fs/promises";

/** Open descriptors of a process, each as what it points at. */
export async function descriptorsOf(pid: number): Promise<string[]> {
  const names = await readdir(`/proc/${pid}/fd`);
  const targets = await Promise.all(names.map((name) => readlink(`/proc/${pid}/fd/${name}`).catch(() => "")));
  return targets.filter((target) => target !== "");
}

/** Resident memory of a process, bytes. */
export async function residentBytes(pid: number): Promise<number> {
  const found = /^VmRSS:\s+(\d+) kB$/m.exec(await readFile(`/proc/${pid}/status`, "utf8"))?.[1];
  return Number(found) * 1024;
}

/** Pids of all processes whose environment or command line names `text`, such as a test's own directory. */
export async function processesNaming(text: string): Promise<number[]> {
  const pids = (await readdir("/proc")).filter((name) => /^\d+$/.test(name)).map(Number);
  const hits = await Promise.all(
    pids.map(async (pid) => {
      const parts = await Promise.all(
        ["cmdline", "environ"].map((file) => readFile(`/proc/${pid}/${file}`, "latin1").catch(() => "")),
      );
      return pid !== process.pid && parts.some((part) => part.includes(text));
    }),
  );
  return pids.filter((_, index) => hits[index]);
}

/** Pids of a process's children whose command line names `text`. */
export async function childrenNaming(pid: number, text: string): Promise<number[]> {
  const children = (await readFile(`/proc/${pid}/task/${pid}/children`, "latin1").catch(() => ""))
    .split(" ")
    .filter(Boolean)
    .map(Number);
  const named = await processesNaming(text);
  return children.filter((child) => named.includes(child));
}
