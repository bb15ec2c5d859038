import type { Device } from "../core/device.ts";
import { runTool } from "./run-tool.ts";
import { visibleDevices } from "./visible.ts";

type Environment = Readonly<Record<string, string | undefined>>;

export interface Probed {
  readonly devices: readonly Device[];
  readonly problems: readonly string[];
}

const FIELDS = [
  "index",
  "uuid",
  "name",
  "memory.total",
  "memory.free",
  "memory.used",
  "utilization.gpu",
  "temperature.gpu",
  "driver_version",
];
const MIB = 2 ** 20;

/** All NVIDIA GPUs visible to the user. A machine without `nvidia-smi` has none, which is not a problem. */
export async function probeNvidia(env: Environment, timeoutMs: number): Promise<Probed> {
  const result = await runTool(
    "nvidia-smi",
    [`--query-gpu=${FIELDS.join(",")}`, "--format=csv,noheader,nounits"],
    env,
    timeoutMs,
  );
  if (result.outcome === "missing") return { devices: [], problems: [] };
  if (result.outcome === "failed")
    return { devices: [], problems: [`NVIDIA GPUs cannot be probed: ${result.reason}.`] };
  const rows = result.stdout.split("\n").filter((line) => line.trim() !== "");
  const parsed = rows.map(parseRow);
  const unread = rows.filter((_, index) => parsed[index] === null);
  const problems = unread.map((line) => `nvidia-smi printed a line that describes no GPU: ${line.slice(0, 200)}`);
  const gpus = parsed.filter((gpu) => gpu !== null);
  const { visible, problem } = visibleDevices(gpus, env["CUDA_VISIBLE_DEVICES"]);
  if (problem) problems.push(`CUDA_VISIBLE_DEVICES: ${problem}.`);
  return { devices: visible.map((gpu) => gpu.device), problems };
}

/** The newest CUDA version that the driver supports; null if it does not report one. */
export async function cudaVersion(env: Environment, timeoutMs: number): Promise<string | null> {
  const result = await runTool("nvidia-smi", ["--version"], env, timeoutMs);
  return result.outcome === "ok" ? (/CUDA Version\s*:\s*([\d.]+)/i.exec(result.stdout)?.[1] ?? null) : null;
}

/** Bytes of GPU memory by process, or null if unavailable (in some containers, processes are hidden). */
export async function nvidiaUse(env: Environment, timeoutMs: number): Promise<ReadonlyMap<number, number> | null> {
  const result = await runTool(
    "nvidia-smi",
    ["--query-compute-apps=pid,used_memory", "--format=csv,noheader,nounits"],
    env,
    timeoutMs,
  );
  if (result.outcome !== "ok") return null;
  const use = new Map<number, number>();
  for (const line of result.stdout.split("\n")) {
    const [pid, mib] = line.split(",").map((cell) => cell.trim());
    // One line for each GPU that a process uses.
    if (/^\d+$/.test(pid ?? "") && /^\d+$/.test(mib ?? ""))
      use.set(Number(pid), (use.get(Number(pid)) ?? 0) + Number(mib) * MIB);
  }
  return use;
}

function parseRow(line: string): { index: number; uuid: string; device: Device } | null {
  const cells = line.split(",").map((cell) => cell.trim());
  if (cells.length < FIELDS.length) return null;
  // A product name may contain commas; everything after it is numbers.
  const [index, uuid] = [Number(cells[0]), cells[1] ?? ""];
  const tail = cells.slice(-(FIELDS.length - 3));
  const name = cells.slice(2, cells.length - tail.length).join(", ");
  const [total, free, , utilization, temperature] = tail.map((cell) => (/^[\d.]+$/.test(cell) ? Number(cell) : null));
  const driver = cells.at(-1) ?? "";
  if (!Number.isInteger(index) || cells[0] === "" || !/^GPU-/.test(uuid)) return null;
  return {
    index,
    uuid,
    device: {
      id: `cuda:${index}`,
      vendor: "nvidia",
      name,
      // Machines whose GPU shares the host's memory print "[N/A]": `withHostMemory` fills it in.
      memoryTotalBytes: (total ?? 0) * MIB,
      memoryFreeBytes: (free ?? 0) * MIB,
      utilizationPercent: utilization ?? null,
      temperatureCelsius: temperature ?? null,
      ...(driver === "" || driver === "[N/A]" ? {} : { driverVersion: driver }),
      // By UUID: CUDA orders GPUs by speed and nvidia-smi by bus, so an engine might interpret an index differently.
      env: { CUDA_VISIBLE_DEVICES: uuid },
    },
  };
}
