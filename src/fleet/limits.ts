import { readFile } from "node:fs/promises";
import { join } from "node:path";

/** Limits of a container or service manager, if lower than the machine's. Null: no limit. */
export interface GroupLimits {
  readonly cpus: number | null;
  readonly memoryBytes: number | null;
  /** Use of that limit, without files that could be dropped. */
  readonly memoryUsedBytes: number | null;
}

/** Reads the control group of this process, version 2 or 1, and all groups above it. `root` is "/" except in tests. */
export async function groupLimits(root = "/"): Promise<GroupLimits> {
  const lines = (await text(join(root, "proc/self/cgroup")))?.trim().split("\n") ?? [];
  const groups = lines.map((line) => {
    const [, controllers = "", ...path] = line.split(":");
    return { controllers: controllers.split(","), path: path.join(":") };
  });
  const base = join(root, "sys/fs/cgroup");
  const pathOf = (controller: string): string | null =>
    groups.find((group) => group.controllers.includes(controller))?.path ?? null;
  const unified = groups.find((group) => group.controllers[0] === "")?.path ?? "/";
  const found = await Promise.all([
    ...ancestors(unified).map((path) => readV2(join(base, path))),
    ...ancestors(pathOf("memory")).map((path) => readV1Memory(join(base, "memory", path))),
    ...ancestors(pathOf("cpu")).map((path) => readV1Cpu(join(base, "cpu", path))),
  ]);
  const tightest = found.filter((limits) => limits.memoryBytes !== null).sort((a, b) => room(a) - room(b))[0];
  const cpus = found.map((limits) => limits.cpus).filter((value) => value !== null);
  return {
    cpus: cpus.length > 0 ? Math.min(...cpus) : null,
    memoryBytes: tightest?.memoryBytes ?? null,
    memoryUsedBytes: tightest?.memoryUsedBytes ?? null,
  };
}

const room = (limits: GroupLimits): number =>
  (limits.memoryBytes ?? Number.POSITIVE_INFINITY) - (limits.memoryUsedBytes ?? 0);

/** `/a/b` -> `/a/b`, `/a`, `/`. */
function ancestors(path: string | null): string[] {
  if (path === null) return [];
  const parts = path.split("/").filter((part) => part !== "");
  return parts.map((_, index) => `/${parts.slice(0, parts.length - index).join("/")}`).concat("/");
}

async function readV2(directory: string): Promise<GroupLimits> {
  const [max, current, stat, cpu] = await Promise.all(
    ["memory.max", "memory.current", "memory.stat", "cpu.max"].map((name) => text(join(directory, name))),
  );
  const [quota, period] = (cpu ?? "max 100000").trim().split(" ").map(Number);
  const memoryBytes = limitOf(max);
  return {
    cpus: quota && period ? quota / period : null,
    memoryBytes,
    memoryUsedBytes: memoryBytes === null ? null : used(current, stat, ["inactive_file", "active_file"]),
  };
}

async function readV1Memory(directory: string): Promise<GroupLimits> {
  const [max, current, stat] = await Promise.all(
    ["memory.limit_in_bytes", "memory.usage_in_bytes", "memory.stat"].map((name) => text(join(directory, name))),
  );
  const memoryBytes = limitOf(max);
  return {
    cpus: null,
    memoryBytes,
    memoryUsedBytes: memoryBytes === null ? null : used(current, stat, ["total_inactive_file", "total_active_file"]),
  };
}

async function readV1Cpu(directory: string): Promise<GroupLimits> {
  const [quota, period] = await Promise.all(
    ["cpu.cfs_quota_us", "cpu.cfs_period_us"].map(async (name) => Number(await text(join(directory, name)))),
  );
  return { cpus: quota && period && quota > 0 ? quota / period : null, memoryBytes: null, memoryUsedBytes: null };
}

/** Version 1 expresses "no limit" as a number near 2^63. */
const limitOf = (value: string | null | undefined): number | null => {
  const bytes = Number(value?.trim() || Number.NaN);
  return Number.isFinite(bytes) && bytes > 0 && bytes < 2 ** 60 ? bytes : null;
};

/**
 * File pages, such as mapped weights, can be dropped and read again: the machine's own figure of available memory
 * treats them the same way.
 */
function used(
  current: string | null | undefined,
  stat: string | null | undefined,
  droppable: readonly string[],
): number {
  const bytesOf = (name: string): number => Number(new RegExp(`^${name} (\\d+)`, "m").exec(stat ?? "")?.[1] ?? 0);
  return Math.max(0, Number(current ?? 0) - droppable.reduce((sum, name) => sum + bytesOf(name), 0));
}

const text = (file: string): Promise<string | null> => readFile(file, "utf8").catch(() => null);
