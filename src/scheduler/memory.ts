import type { Device } from "../core/device.ts";
import type { MemoryUse } from "./events.ts";
import type { Use } from "./life.ts";
import { changed, roomChanged } from "./places.ts";
import type { DeviceRecord, InstanceRecord, ModelRecord } from "./records.ts";
import { arm, type Turn } from "./state.ts";

/** Other programs come and go; figures of a device are good for so long. */
const FRESH_MS = 2_000;
/** Between two looks at memory that should have come back and has not. */
const AGAIN_MS = 250;
/** After so long it is not expected back. */
const PATIENCE_MS = 10_000;
/** How far an estimate may be off: by so much alone no model is refused. */
const TOLERANCE = 1.1;

/** Bytes of one instance there; 0 where it is not known. */
export function bytesOn(model: ModelRecord, device: DeviceRecord): number {
  const { memory } = model;
  if (memory === null || typeof memory === "number") return memory ?? 0;
  return device.isCpu ? memory.cpuBytes : memory.gpuBytes;
}

/** Larger than what models may have of the bare device: no eviction helps. */
export function neverFits(model: ModelRecord, device: DeviceRecord): boolean {
  const { memoryTotalBytes: total, reservedBytes = 0 } = device.device;
  return total > 0 && bytesOn(model, device) > Math.min(total, (total - reservedBytes) * TOLERANCE);
}

/**
 * Whether the device has memory for so many bytes beside what is used. Figures that were read at start only may be long
 * out of date, so a model alone is tried whatever they say; fresh ones are believed, within what estimates are good
 * for.
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
 * Whether enough is known to choose a place for the model. If not, what is missing has been asked for, and the model is
 * looked at again when it is there.
 */
export function isInformed(turn: Turn, model: ModelRecord): boolean {
  const { state } = turn;
  // Alone on its device a model is tried without an estimate; only beside others the answer is worth a wait.
  if (model.memoryPending && model.eligible.some((device) => device.taken.future.count > 0)) return false;
  if (!state.measures) return true;
  const stale = model.eligible.some(
    (device) => bytesOn(model, device) > 0 && device.budgetBytes !== null && !isFresh(turn, device),
  );
  if (stale) askFigures(turn);
  return !stale;
}

/** Whether the memory that a planned instance needs is really free now. */
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
  // All that was to go has gone and its memory is not back: drivers take their time, and others may have been quicker.
  if (life.phase === "planned" && life.shortSince === null) instance.life = { ...life, shortSince: turn.now };
  if (!instance.phaseDue.armed) arm(turn, instance.phaseDue, turn.now + AGAIN_MS);
  return false;
}

/** A planned instance has waited for memory once more. Returns whether it goes on waiting. */
export function lookAgain(turn: Turn, instance: InstanceRecord): boolean {
  if (instance.life.phase !== "planned" || turn.now - (instance.life.shortSince ?? turn.now) > PATIENCE_MS)
    return false;
  forgetFigures(instance.device);
  roomChanged(turn);
  return true;
}

/** What the device's figures said holds no longer: a process there has ended. */
export function forgetFigures(device: DeviceRecord): void {
  device.measuredAt = Number.NEGATIVE_INFINITY;
}

/** Takes over fresh figures: what is free, and what each instance (by id) uses. */
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
  // While something that cannot be measured loads or ends, nobody can say whose the missing memory is.
  if (settled || record.budgetBytes === null) record.budgetBytes = budgetOf(device, heldBytes);
}

/** What our own processes use is missing in what the probe calls free, and is ours to plan with. */
export function budgetOf(device: Device, ownBytes: number): number | null {
  const total = device.memoryTotalBytes;
  if (total <= 0) return null;
  return Math.max(0, Math.min(total, device.memoryFreeBytes + ownBytes) - (device.reservedBytes ?? 0));
}

/** An instance counts with what it will need when full, or with what it takes where that is more. */
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
