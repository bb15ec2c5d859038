import type { Device } from "../core/device.ts";
import type { Probed } from "./nvidia.ts";
import { runTool } from "./run-tool.ts";
import { visibleDevices } from "./visible.ts";

type Environment = Readonly<Record<string, string | undefined>>;
type Card = Readonly<Record<string, string>>;

const ARGUMENTS = ["--showproductname", "--showuniqueid", "--showmeminfo", "vram", "--showuse", "--showtemp", "--json"];

/** All AMD GPUs that the user lets us see, by `rocm-smi`. */
export async function probeAmd(env: Environment, timeoutMs: number): Promise<Probed> {
  const result = await runTool("rocm-smi", ARGUMENTS, env, timeoutMs);
  if (result.outcome === "missing") return { devices: [], problems: [] };
  if (result.outcome === "failed") return { devices: [], problems: [`AMD GPUs cannot be probed: ${result.reason}.`] };
  const cards = parseCards(result.stdout);
  if (cards === null) return { devices: [], problems: ["AMD GPUs cannot be probed: rocm-smi printed no JSON."] };
  const gpus = cards.map(describeCard).filter((gpu) => gpu !== null);
  const { visible, problem } = visibleDevices(gpus, env["HIP_VISIBLE_DEVICES"] ?? env["ROCR_VISIBLE_DEVICES"]);
  return { devices: visible.map((gpu) => gpu.device), problems: problem ? [`HIP_VISIBLE_DEVICES: ${problem}.`] : [] };
}

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

function describeCard([key, card]: [string, Card]): { index: number; uuid: string; device: Device } | null {
  const index = Number(key.slice("card".length));
  const total = numberOf(card, "VRAM Total Memory (B)");
  if (total === null) return null;
  const device: Device = {
    id: `rocm:${index}`,
    vendor: "amd",
    name: field(card, "Card Series") ?? field(card, "Card Model") ?? `AMD GPU ${index}`,
    memoryTotalBytes: total,
    memoryFreeBytes: Math.max(0, total - (numberOf(card, "VRAM Total Used Memory (B)") ?? 0)),
    utilizationPercent: numberOf(card, "GPU use (%)"),
    temperatureCelsius:
      numberOf(card, "Temperature (Sensor edge) (C)") ?? numberOf(card, "Temperature (Sensor junction) (C)"),
    env: { HIP_VISIBLE_DEVICES: String(index) },
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
