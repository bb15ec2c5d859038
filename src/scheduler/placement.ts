import type { Refusal } from "./effects.ts";
import { victimsFor } from "./eviction.ts";
import { leave, plan } from "./lifecycle.ts";
import { retryAfterS } from "./limits.ts";
import type { DeviceRecord, InstanceRecord, ModelRecord, Purpose } from "./state.ts";
import { refusal, type Turn } from "./turn.ts";

interface Option {
  readonly device: DeviceRecord;
  readonly victims: readonly InstanceRecord[];
  /** Lower is better, the first difference decides. */
  readonly rank: readonly number[];
}

/**
 * Finds a device for one more instance of the model, makes room there and plans the start. Returns false when there is
 * no room now. Only the first instance of a model that is waited for may push others out (`mayEvict`).
 */
export function place(turn: Turn, model: ModelRecord, purpose: Purpose, mayEvict: boolean): boolean {
  let best: Option | null = null;
  for (const device of model.eligible) {
    if (neverFits(model, device)) continue;
    const victims = victimsFor(turn.state, model, device, mayEvict);
    if (victims === null) continue;
    const option = { device, victims, rank: rankOf(model, device, victims) };
    if (best === null || isBetter(option.rank, best.rank)) best = option;
  }
  if (best === null) return false;
  for (const victim of best.victims) leave(turn, victim, "evicted");
  plan(turn, model, best.device, purpose);
  return true;
}

/** Fewest victims, then where it has not failed, then fewest instances of this model, then most free memory. */
function rankOf(model: ModelRecord, device: DeviceRecord, victims: readonly InstanceRecord[]): number[] {
  let failed = 0;
  let same = 0;
  for (const instance of model.instances) {
    if (instance.device !== device) continue;
    if (instance.phase === "failed") failed = 1;
    else same += 1;
  }
  const freeBytes = (device.budgetBytes ?? device.device.memoryFreeBytes) - device.futureBytes;
  return [victims.length, failed, same, device.future, -freeBytes];
}

function isBetter(a: readonly number[], b: readonly number[]): boolean {
  for (let index = 0; index < a.length; index++) {
    const difference = (a[index] ?? 0) - (b[index] ?? 0);
    if (difference !== 0) return difference < 0;
  }
  return false;
}

/** Larger than the bare device: no eviction helps. */
function neverFits(model: ModelRecord, device: DeviceRecord): boolean {
  const total = device.device.memoryTotalBytes;
  return total > 0 && (model.memoryBytes ?? 0) > total;
}

/**
 * Why nothing that could happen by itself gives the model a place, or null where waiting may help. A place that is
 * busy, loading or leaving may become free; a pinned one does not.
 */
export function hopeless(turn: Turn, model: ModelRecord): Refusal | null {
  const { state } = turn;
  if (model.eligible.length === 0) {
    const wanted = model.spec.devices.map((id) => `"${id}"`).join(", ");
    const found = [...state.devices.keys()].map((id) => `"${id}"`).join(", ");
    return noCapacity(
      turn,
      model,
      `is bound to the devices ${wanted || "(none)"}; this machine has ${found || "none"}`,
      `Change \`devices\` in ${model.spec.file}.`,
    );
  }
  if (state.settings.maxInstances - state.pinned <= 0) {
    const message = `has no place: all ${state.settings.maxInstances} instances that [scheduler] max_instances allows are pinned`;
    return noCapacity(turn, model, message, "Unpin a model, or raise max_instances.");
  }
  const bytes = model.memoryBytes ?? 0;
  const fitting = model.eligible.filter((device) => !neverFits(model, device));
  const hasMemory = (device: DeviceRecord): boolean =>
    device.budgetBytes === null || device.pinnedBytes === 0 || device.pinnedBytes + bytes <= device.budgetBytes;
  const hasThreads = (device: DeviceRecord): boolean => !device.isCpu || device.pinnedThreads < state.settings.threadBudget;
  if (fitting.some((device) => hasMemory(device) && hasThreads(device))) return null;
  if (fitting.some(hasMemory)) {
    return noCapacity(turn, model, `has no CPU thread left: pinned models use all ${state.settings.threadBudget}`, "Unpin a model, or give it fewer threads.");
  }
  const largest = model.eligible.reduce((most, device) => Math.max(most, device.device.memoryTotalBytes), 0);
  if (fitting.length === 0) {
    return noCapacity(
      turn,
      model,
      `needs about ${gib(bytes)} of memory; its largest device has ${gib(largest)}`,
      "Use a smaller model, a shorter context or fewer slots.",
    );
  }
  return noCapacity(
    turn,
    model,
    `needs about ${gib(bytes)} of memory, and pinned models leave less than that on its devices`,
    "Unpin a model, or use a smaller one.",
  );
}

function noCapacity(turn: Turn, model: ModelRecord, message: string, remedy: string): Refusal {
  return refusal("no_capacity", `Model "${model.name}" ${message}`, remedy, retryAfterS(model, turn.now));
}

const gib = (bytes: number): string => `${(bytes / 2 ** 30).toFixed(1)} GiB`;
