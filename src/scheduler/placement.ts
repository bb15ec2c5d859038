import type { AssistantError } from "../core/errors.ts";
import { victimsFor } from "./eviction.ts";
import { hasThread } from "./grants.ts";
import { leave, plan } from "./lifecycle.ts";
import { bytesOn, fitsBeside, isInformed, neverFits } from "./memory.ts";
import type { DeviceRecord, InstanceRecord, ModelRecord, Purpose } from "./records.ts";
import { refusal, type Turn } from "./state.ts";
import { retryAfterS } from "./waits.ts";

interface Option {
  readonly device: DeviceRecord;
  readonly victims: readonly InstanceRecord[];
  /** Lower is better; the first difference decides. */
  readonly rank: readonly number[];
}

/**
 * Finds a device for one more instance of the model, makes room there and plans the start. Returns false if there is no
 * room now, or if more must be known first (`uninformed`). Only the first instance of a model with waiting requests may
 * evict others (`mayEvict`).
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

/** Fewest victims, then no failure there, then fewest instances of this model, then most free memory. */
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
 * Why waiting cannot give the model a place, or null if it can. A place that is busy, loading or leaving may become
 * free; a pinned one does not.
 */
export function hopeless(turn: Turn, model: ModelRecord): AssistantError | null {
  const { state } = turn;
  const { maxInstances, threadBudget } = state.settings;
  const noCapacity = (what: string, remedy: string): AssistantError =>
    refusal("no_capacity", `Model "${model.name}" ${what}`, remedy, retryAfterS(model, turn.now));
  if (model.eligible.length === 0) {
    const list = (ids: Iterable<string>, none: string): string => [...ids].map((id) => `"${id}"`).join(", ") || none;
    const wanted = list(model.spec.devices, "(none)");
    return noCapacity(
      `is limited to the devices ${wanted}; this machine has ${list(state.devices.keys(), "none")}`,
      `Change \`devices\` in ${model.spec.file}.`,
    );
  }
  if (maxInstances <= state.count("pinned"))
    return noCapacity(
      `has no place: all ${maxInstances} instances that [scheduler] max_instances allows are pinned`,
      "Unpin a model, or raise max_instances.",
    );
  const fitting = model.eligible.filter(
    (device) => !neverFits(model, device) && fitsBeside(turn, device, bytesOn(model, device), device.taken.pinned),
  );
  if (fitting.some((device) => hasThread(state, device, device.taken.pinned, model.supply.future === 0))) return null;
  if (fitting.length > 0)
    return noCapacity(
      `has no CPU thread left: pinned models use all ${threadBudget}`,
      "Unpin a model, or give it fewer threads.",
    );
  // Not even with all possible evictions: the figures of the device that comes closest.
  const roomOn = ({ budgetBytes, device, taken }: DeviceRecord): number =>
    (budgetBytes ?? device.memoryTotalBytes) - taken.pinned.bytes;
  const spare = (device: DeviceRecord): number => roomOn(device) - bytesOn(model, device);
  const largest = model.eligible.reduce((best, device) => (spare(device) > spare(best) ? device : best));
  const { memoryTotalBytes: total, reservedBytes: reserved = 0 } = largest.device;
  const all = `${gigabytes(total)}${reserved > 0 ? ` (${gigabytes(reserved)} of it reserved)` : ""}`;
  const needs = `needs about ${gigabytes(bytesOn(model, largest))} of memory`;
  const smaller = `Use a smaller model, a shorter context or fewer slots${reserved > 0 ? ", or lower `[scheduler] vram_reserve_mib`" : ""}.`;
  if (neverFits(model, largest))
    return refusal("model_too_large", `Model "${model.name}" ${needs}; its largest device has ${all}`, smaller);
  const isPinned = largest.taken.pinned.bytes > 0;
  const left = gigabytes(isPinned ? Math.max(0, roomOn(largest)) : roomOn(largest));
  return noCapacity(
    `${needs}, and ${isPinned ? "pinned models" : "other programs"} leave ${left} of the ${all} on ${largest.id}`,
    `${isPinned ? "Unpin a model." : "Stop other programs that use the device."} ${smaller}`,
  );
}

const gigabytes = (bytes: number): string => `${(bytes / 1e9).toFixed(1)} GB`;
