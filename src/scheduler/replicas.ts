import type { DeviceRecord, ModelRecord, SchedulerState } from "./state.ts";

/** Devices the model may run on: those it names, else all GPUs, else the CPU. */
export function eligibleDevices(state: SchedulerState, model: ModelRecord): DeviceRecord[] {
  const named = model.spec.devices;
  const all = [...state.devices.values()];
  if (named.length > 0) return all.filter((record) => named.includes(record.id));
  const gpus = all.filter((record) => record.device.vendor !== "cpu");
  return gpus.length > 0 ? gpus : all;
}

/** Most instances of the model at once. "auto": one per GPU it may use, or one on the CPU. */
export function replicasOf(model: ModelRecord): number {
  return model.spec.replicas === "auto" ? model.eligible.length : model.spec.replicas;
}
