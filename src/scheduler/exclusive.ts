import { refresh } from "./places.ts";
import type { DeviceRecord, InstanceRecord, ModelRecord } from "./records.ts";
import type { Turn } from "./state.ts";

/** A request runs on the instance from now on. */
export function occupy(turn: Turn, { device, model }: InstanceRecord, requestId: string): void {
  if (!turn.state.hasExclusive) return;
  if (model.spec.exclusive) {
    device.holder = requestId;
    device.claim = null;
  }
  reconsider(turn, device);
}

/** A request of the instance has ended. Call before its model is looked at again, so that the others have their turn first. */
export function vacate(turn: Turn, { device }: InstanceRecord, requestId: string): void {
  if (!turn.state.hasExclusive) return;
  if (device.holder === requestId) device.holder = null;
  if (device.isQuiet) reconsider(turn, device);
}

/**
 * A model that needs its device alone and has waiting requests gets no moment by itself on a busy one: it claims it, so
 * that nothing new begins there until it has had its turn. One turn, then those go that waited for the end of it.
 */
export function claim(turn: Turn, model: ModelRecord): void {
  if (!model.spec.exclusive) return;
  for (const device of new Set([...model.instances].map((instance) => instance.device))) {
    // Of several instances of it there, one that is up will do: each for itself, they would claim and unclaim for ever.
    const isUp = [...model.instances].some((instance) => instance.device === device && instance.life.phase === "ready");
    const wants = model.queue.size > 0 && isUp;
    if (wants && device.claim === null && device.holder === null && !device.isQuiet) device.claim = model;
    else if (!wants && device.claim === model) device.claim = null;
    else continue;
    reconsider(turn, device);
  }
}

/** A claim ends with the instance it was made for. */
export function unclaim(turn: Turn, { device, model }: InstanceRecord): void {
  if (device.claim !== model) return;
  device.claim = null;
  reconsider(turn, device);
}

function reconsider(turn: Turn, device: DeviceRecord): void {
  for (const exclusive of [false, true]) {
    for (const instance of device.instances) {
      if ((instance.model.spec.exclusive ?? false) !== exclusive) continue;
      refresh(turn, instance);
      if (instance.model.queue.size > 0) turn.state.dirty.add(instance.model);
    }
  }
}
