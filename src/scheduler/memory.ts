import type { Device } from "../core/device.ts";
import type { MemoryUse } from "./events.ts";
import type { Use } from "./life.ts";
import { changed, roomChanged } from "./places.ts";
import type { DeviceRecord, InstanceRecord, ModelRecord } from "./records.ts";
import { arm, type Turn } from "./state.ts";

/** How long measurements of a device are valid: other programs come and go. */
const FRESH_MS = 2_000;
/** Interval of measurements while memory should have been released but has not. */
const AGAIN_MS = 250;
/** After this time, the memory is considered lost. */
const PATIENCE_MS = 10_000;
/** Tolerance of estimates: no model is refused for exceeding the memory by less. */
const TOLERANCE = 1.1;

/** Bytes of one instance there; 0 if unknown. */
export function bytesOn(model: ModelRecord, device: DeviceRecord): number {
  const { memory } = model;
  if (memory === null || typeof memory === "number") return memory ?? 0;
  return device.isCpu ? memory.cpuBytes : memory.gpuBytes;
}

/** Exceeds the memory for models even on an empty device: no eviction helps. */
export function neverFits(model: ModelRecord, device: DeviceRecord): boolean {
  const { memoryTotalBytes: total, reservedBytes = 0 } = device.device;
  return total > 0 && bytesOn(model, device) > Math.min(total, (total - reservedBytes) * TOLERANCE);
}

/**
 * Whether the device has memory for this many bytes in addition to what is used. Figures measured only at start may be
 * long out of date, so a model that would be alone is tried regardless; fresh ones are trusted, within the tolerance of
 * estimates.
 */
export function fitsBeside(
  { state }: Turn,
  { budgetBytes }: DeviceRecord,
  bytes: number,
  used: Pick<Use, "count" | "bytes">,
): boolean {
  if (budgetBytes === null || bytes === 0 || (used.count === 0 && !state.measures)) return true;
  return used.bytes + bytes <= budgetBytes * (used.count === 0 ? TOLERANCE : 1);
}

/**
 * Whether enough is known to choose a place for the model. If not, the missing figures have been requested, and the
 * model is considered again when they arrive.
 */
export function isInformed(turn: Turn, model: ModelRecord): boolean {
  const { state } = turn;
  // A model alone on its device is started without an estimate; the wait is only worthwhile next to others.
  if (model.memoryPending && model.eligible.some((device) => device.taken.future.count > 0)) return false;
  if (!state.measures) return true;
  const stale = model.eligible.some(
    (device) => bytesOn(model, device) > 0 && device.budgetBytes !== null && !isFresh(turn, device),
  );
  if (stale) askFigures(turn);
  return !stale;
}

/** Whether the memory that a planned instance needs is actually free now. */
export function hasMemory(turn: Turn, instance: InstanceRecord): boolean {
  const { device, bytes, life } = instance;
  if (device.budgetBytes === null || bytes === 0) return true;
  const enough = fitsBeside(turn, device, bytes, device.taken.live);
  if (!turn.state.measures) return enough;
  if (!isFresh(turn, device)) {
    askFigures(turn);
    return false;
  }
  if (enough) return true;
  for (const other of device.instances) if (other.life.phase === "leaving") return false;
  // All victims have exited, but their memory is not free: drivers take time, and other programs may have taken it.
  if (life.phase === "planned" && life.shortSince === null) instance.life = { ...life, shortSince: turn.now };
  if (!instance.phaseDue.armed) arm(turn, instance.phaseDue, turn.now + AGAIN_MS);
  return false;
}

/** A planned instance still lacks memory. Returns whether it keeps waiting. */
export function lookAgain(turn: Turn, instance: InstanceRecord): boolean {
  if (instance.life.phase !== "planned" || turn.now - (instance.life.shortSince ?? turn.now) > PATIENCE_MS)
    return false;
  forgetFigures(instance.device);
  roomChanged(turn);
  return true;
}

/** A process on the device has ended, so its figures are no longer valid. */
export function forgetFigures(device: DeviceRecord): void {
  device.measuredAt = Number.NEGATIVE_INFINITY;
}

/** Applies new measurements: free memory, and the use of each instance, by id. */
export function devicesMeasured(turn: Turn, devices: readonly Device[], use: ReadonlyMap<string, MemoryUse>): void {
  turn.state.measuring = false;
  for (const device of devices) {
    const record = turn.state.devices.get(device.id);
    if (record !== undefined) deviceMeasured(turn, record, device, use);
  }
  roomChanged(turn);
}

function deviceMeasured(turn: Turn, record: DeviceRecord, device: Device, use: ReadonlyMap<string, MemoryUse>): void {
  let heldBytes = 0;
  let settled = true;
  for (const instance of [...record.instances]) {
    const { life } = instance;
    if (life.phase === "planned" || life.phase === "failed") continue;
    const measured = use.get(instance.id);
    const isUp = life.phase === "ready" || life.phase === "held" || (life.phase === "leaving" && !life.stopping);
    if (measured !== undefined && isUp) learnUse(turn, instance, measured);
    if (measured !== undefined) heldBytes += measured.heldBytes;
    else if (isUp) heldBytes += instance.bytes;
    else if (life.phase !== "ordered") settled = false;
  }
  record.device = device;
  record.measuredAt = turn.now;
  // While an instance that cannot be measured is loading or stopping, the missing memory cannot be attributed.
  if (settled || record.budgetBytes === null) record.budgetBytes = budgetOf(device, heldBytes);
}

/** Memory used by our own processes is not free to the probe, but available for planning. */
export function budgetOf(device: Device, ownBytes: number): number | null {
  const total = device.memoryTotalBytes;
  if (total <= 0) return null;
  return Math.max(0, Math.min(total, device.memoryFreeBytes + ownBytes) - (device.reservedBytes ?? 0));
}

/** An instance counts with what it will need when its context is full, or with what it uses if that is more. */
function learnUse(turn: Turn, instance: InstanceRecord, { bytes }: MemoryUse): void {
  const { model, device } = instance;
  model.memory ??= bytes;
  const counted = Math.max(bytesOn(model, device), bytes);
  if (counted === instance.bytes) return;
  instance.bytes = counted;
  changed(turn, instance);
}

const isFresh = (turn: Turn, device: DeviceRecord): boolean => turn.now - device.measuredAt <= FRESH_MS;

function askFigures({ state, effects }: Turn): void {
  if (state.measuring) return;
  state.measuring = true;
  effects.push({ type: "measure" });
}
