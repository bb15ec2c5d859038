import type { AssistantError } from "../core/errors.ts";
import { victimsFor } from "./eviction.ts";
import { hasThread } from "./grants.ts";
import { leave, plan } from "./lifecycle.ts";
import { retryAfterS } from "./limits.ts";
import { aloneBytes, bytesOn, isInformed, neverFits } from "./memory.ts";
import type { DeviceRecord, InstanceRecord, ModelRecord, Purpose } from "./records.ts";
import { refusal, type Turn } from "./state.ts";

interface Option {
  readonly device: DeviceRecord;
  readonly victims: readonly InstanceRecord[];
  /** Lower is better, the first difference decides. */
  readonly rank: readonly number[];
}

/**
 * Finds a device for one more instance of the model, makes room there and plans the start. Returns false when there is
 * no room now, or when more has to be known first (`uninformed`). Only the first instance of a model that is waited for may push others out (`mayEvict`).
 */
export function place(turn: Turn, model: ModelRecord, purpose: Purpose, mayEvict: boolean): boolean {
  if (turn.state.settings.isDrained) return false;
  if (!isInformed(turn, model)) {
    turn.state.uninformed.set(model, purpose === "demand" ? 0 : 1);
    return false;
  }
  let best: Option | null = null;
  for (const device of model.eligible) {
    if (neverFits(model, device)) continue;
    const victims = victimsFor(turn, model, device, mayEvict);
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
    if (instance.life.phase === "failed") failed = 1;
    else same += 1;
  }
  const freeBytes = (device.budgetBytes ?? device.device.memoryFreeBytes) - device.taken.future.bytes;
  return [victims.length, failed, same, device.taken.future.count, -freeBytes];
}

function isBetter(a: readonly number[], b: readonly number[]): boolean {
  for (let index = 0; index < a.length; index++) {
    const difference = (a[index] ?? 0) - (b[index] ?? 0);
    if (difference !== 0) return difference < 0;
  }
  return false;
}

/**
 * Why nothing that could happen by itself gives the model a place, or null where waiting may help. A place that is
 * busy, loading or leaving may become free; a pinned one does not.
 */
export function hopeless(turn: Turn, model: ModelRecord): AssistantError | null {
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
  if (state.settings.maxInstances <= state.count("pinned")) {
    const message = `has no place: all ${state.settings.maxInstances} instances that [scheduler] max_instances allows are pinned`;
    return noCapacity(turn, model, message, "Unpin a model, or raise max_instances.");
  }
  const fitting = model.eligible.filter((device) => !neverFits(model, device));
  const hasMemory = (device: DeviceRecord): boolean =>
    device.budgetBytes === null ||
    pinnedBytes(device) + bytesOn(model, device) <=
      (pinnedBytes(device) > 0 ? device.budgetBytes : aloneBytes(turn, device));
  const hasThreads = (device: DeviceRecord): boolean =>
    !device.isCpu || hasThread(state.settings.threadBudget, device.taken.pinned, model.supply.future === 0);
  if (fitting.some((device) => hasMemory(device) && hasThreads(device))) return null;
  if (fitting.some(hasMemory)) {
    return noCapacity(
      turn,
      model,
      `has no CPU thread left: pinned models use all ${state.settings.threadBudget}`,
      "Unpin a model, or give it fewer threads.",
    );
  }
  return lacksMemory(turn, model);
}

/** Not even with everything evicted that may be: the figures of the device that comes nearest. */
function lacksMemory(turn: Turn, model: ModelRecord): AssistantError {
  const roomOn = (device: DeviceRecord): number =>
    (device.budgetBytes ?? device.device.memoryTotalBytes) - pinnedBytes(device);
  const largest = model.eligible.reduce((best, device) =>
    roomOn(device) - bytesOn(model, device) > roomOn(best) - bytesOn(model, best) ? device : best,
  );
  const { memoryTotalBytes: total, reservedBytes: reserved = 0 } = largest.device;
  const kept = reserved > 0 ? ` (${gigabytes(reserved)} of it reserved)` : "";
  const needs = `needs about ${gigabytes(bytesOn(model, largest))} of memory`;
  const smaller = `Use a smaller model, a shorter context or fewer slots${reserved > 0 ? ", or lower `[scheduler] vram_reserve_mib`" : ""}`;
  if (neverFits(model, largest))
    return refusal(
      "model_too_large",
      `Model "${model.name}" ${needs}; its largest device has ${gigabytes(total)}${kept}`,
      `${smaller}.`,
    );
  if (pinnedBytes(largest) > 0) {
    const message = `${needs}, and pinned models leave ${gigabytes(Math.max(0, roomOn(largest)))} of the ${gigabytes(total)}${kept} on ${largest.id}`;
    return noCapacity(turn, model, message, `Unpin a model. ${smaller}.`);
  }
  const message = `${needs}, and other programs leave ${gigabytes(roomOn(largest))} of the ${gigabytes(total)}${kept} on ${largest.id}`;
  return noCapacity(turn, model, message, `End what else uses the device. ${smaller}.`);
}

function noCapacity(turn: Turn, model: ModelRecord, message: string, remedy: string): AssistantError {
  return refusal("no_capacity", `Model "${model.name}" ${message}`, remedy, retryAfterS(model, turn.now));
}

const pinnedBytes = ({ taken }: DeviceRecord): number => taken.pinned.bytes;

const gigabytes = (bytes: number): string => `${(bytes / 1e9).toFixed(1)} GB`;
