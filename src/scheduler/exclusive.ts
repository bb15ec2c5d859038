import { refresh } from "./places.ts";
import type { DeviceRecord, InstanceRecord, ModelRecord, RequestRecord } from "./state.ts";
import type { Turn } from "./turn.ts";

/** A request runs on the device from now on. */
export function occupy(turn: Turn, instance: InstanceRecord, request: RequestRecord): void {
  const { device, model } = instance;
  device.inFlight += 1;
  if (turn.state.exclusiveModels === 0) return;
  if (model.spec.exclusive) {
    device.holder = request;
    device.claim = null;
  } else if (device.inFlight > 1) return;
  reconsider(turn, device);
}

/** A request of the instance has left the device. Call before its model is looked at again, so that the others have their turn first. */
export function vacate(turn: Turn, instance: InstanceRecord, request: RequestRecord): void {
  const { device } = instance;
  device.inFlight -= 1;
  if (turn.state.exclusiveModels === 0) return;
  if (device.holder === request) device.holder = null;
  if (device.inFlight === 0) reconsider(turn, device);
}

/**
 * A model that needs its device alone and has waiting requests gets no moment by itself on a busy one: it claims it, so
 * that nothing new begins there until it has had its turn. One turn, then those go that waited for the end of it.
 */
export function claim(turn: Turn, model: ModelRecord): void {
  if (!model.spec.exclusive) return;
  for (const instance of model.instances) {
    const { device } = instance;
    const wants = model.queue.size > 0 && instance.phase === "ready" && instance.leaving === null && !instance.held;
    if (wants && device.claim === null && device.holder === null && device.inFlight > 0) device.claim = model;
    else if (!wants && device.claim === model) device.claim = null;
    else continue;
    reconsider(turn, device);
  }
}

/** A claim ends with the instance it was made for. */
export function unclaim(turn: Turn, instance: InstanceRecord): void {
  if (instance.device.claim !== instance.model) return;
  instance.device.claim = null;
  reconsider(turn, instance.device);
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
