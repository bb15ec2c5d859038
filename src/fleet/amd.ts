import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import type { Device } from "../core/device.ts";
import type { Probed } from "./nvidia.ts";
import { runTool } from "./run-tool.ts";
import { visibleDevices } from "./visible.ts";

type Environment = Readonly<Record<string, string | undefined>>;
type Card = Readonly<Record<string, string>>;

const ARGUMENTS = ["--showproductname", "--showuniqueid", "--showmeminfo", "vram", "--showuse", "--showtemp", "--json"];

/** Where the kernel lists graphics cards. */
const CARDS = "/sys/class/drm";
const VENDOR_ID = "0x1002";
/** Less is not a card's own memory, but the part of the host's that an integrated GPU is assigned. */
const MIN_CARD_BYTES = 3 * 2 ** 30;

/**
 * All AMD GPUs visible to the user, from `rocm-smi`; without ROCm, which Vulkan does not need, from the kernel's
 * driver.
 */
export async function probeAmd(env: Environment, timeoutMs: number, cardsFolder = CARDS): Promise<Probed> {
  const result = await runTool("rocm-smi", ARGUMENTS, env, timeoutMs);
  if (result.outcome === "missing") return visibleTo(env, await kernelCards(cardsFolder));
  if (result.outcome === "failed") return { devices: [], problems: [`AMD GPUs cannot be probed: ${result.reason}.`] };
  const cards = parseCards(result.stdout);
  if (cards === null) return { devices: [], problems: ["AMD GPUs cannot be probed: rocm-smi printed no JSON."] };
  const gpus = cards.map(describeCard).filter((gpu) => gpu !== null);
  return visibleTo(env, gpus);
}

function visibleTo(env: Environment, gpus: readonly Gpu[]): Probed {
  const { visible, problem } = visibleDevices(gpus, env["HIP_VISIBLE_DEVICES"] ?? env["ROCR_VISIBLE_DEVICES"]);
  return { devices: visible.map((gpu) => gpu.device), problems: problem ? [`HIP_VISIBLE_DEVICES: ${problem}.`] : [] };
}

/** Cards with their own memory, in the kernel's order. */
async function kernelCards(folder: string): Promise<Gpu[]> {
  const names = (await readdir(folder).catch(() => [])).filter((name) => /^card\d+$/.test(name));
  const gpus: Gpu[] = [];
  for (const name of names.toSorted((a, b) => Number(a.slice(4)) - Number(b.slice(4)))) {
    const card = join(folder, name, "device");
    const fact = (file: string): Promise<string> =>
      readFile(join(card, file), "utf8").then(
        (text) => text.trim(),
        () => "",
      );
    const total = Number(await fact("mem_info_vram_total"));
    if ((await fact("vendor")) !== VENDOR_ID || !(total >= MIN_CARD_BYTES)) continue;
    const busy = await fact("gpu_busy_percent");
    const [sensor = ""] = await readdir(join(card, "hwmon")).catch(() => []);
    const milliCelsius = sensor === "" ? "" : await fact(join("hwmon", sensor, "temp1_input"));
    const index = gpus.length;
    const device = {
      ...identity(index, (await fact("product_name")) || `AMD GPU ${index}`),
      memoryTotalBytes: total,
      memoryFreeBytes: Math.max(0, total - Number(await fact("mem_info_vram_used"))),
      utilizationPercent: busy === "" ? null : Number(busy),
      temperatureCelsius: milliCelsius === "" ? null : Number(milliCelsius) / 1000,
    };
    gpus.push({ index, uuid: await fact("unique_id"), device });
  }
  return gpus;
}

/** The engine may be built for ROCm or for Vulkan; each has its own variable that hides the other GPUs. */
const identity = (index: number, name: string): Pick<Device, "id" | "vendor" | "name" | "env"> => ({
  id: `rocm:${index}`,
  vendor: "amd",
  name,
  env: { HIP_VISIBLE_DEVICES: String(index), GGML_VK_VISIBLE_DEVICES: String(index) },
});

function parseCards(stdout: string): [string, Card][] | null {
  // Some versions print warnings before the object.
  const start = stdout.indexOf("{");
  try {
    const cards = JSON.parse(stdout.slice(Math.max(0, start))) as Record<string, Card>;
    return Object.entries(cards).filter(([name]) => /^card\d+$/.test(name));
  } catch {
    return null;
  }
}

interface Gpu {
  readonly index: number;
  readonly uuid: string;
  readonly device: Device;
}

function describeCard([key, card]: [string, Card]): Gpu | null {
  const index = Number(key.slice("card".length));
  const total = numberOf(card, "VRAM Total Memory (B)");
  if (total === null) return null;
  const device: Device = {
    ...identity(index, field(card, "Card Series") ?? field(card, "Card Model") ?? `AMD GPU ${index}`),
    memoryTotalBytes: total,
    memoryFreeBytes: Math.max(0, total - (numberOf(card, "VRAM Total Used Memory (B)") ?? 0)),
    utilizationPercent: numberOf(card, "GPU use (%)"),
    temperatureCelsius:
      numberOf(card, "Temperature (Sensor edge) (C)") ?? numberOf(card, "Temperature (Sensor junction) (C)"),
  };
  return { index, uuid: `GPU-${(field(card, "Unique ID") ?? "").replace(/^0x/, "")}`, device };
}

/** Versions differ in the case of their keys. */
const field = (card: Card, name: string): string | null =>
  Object.entries(card).find(([key]) => key.toLowerCase() === name.toLowerCase())?.[1] ?? null;

function numberOf(card: Card, name: string): number | null {
  const text = field(card, name);
  return text !== null && /^[\d.]+$/.test(text.trim()) ? Number(text) : null;
}
