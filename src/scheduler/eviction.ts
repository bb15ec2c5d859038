import { aloneBytes, bytesOn } from "./memory.ts";
import type { DeviceRecord, InstanceRecord, ModelRecord, SchedulerState } from "./state.ts";

/**
 * The instances that must go so that one more of `model` has a place on `device`, least recently used first; an empty
 * list when there is room; null when those that may go are not enough. Looks only, changes nothing.
 *
 * Room is counted as it will be when everything decided has happened, so that a place that is being freed for one
 * waiter is not given to a second, and an instance that is leaving is never chosen again.
 */
export function victimsFor(state: SchedulerState, model: ModelRecord, device: DeviceRecord, mayEvict: boolean): InstanceRecord[] | null {
  const { settings } = state;
  const victims: InstanceRecord[] = [];
  let { futureBytes, futureThreads, future } = device;
  const bytes = bytesOn(model, device);
  const lacksMemory = (): boolean =>
    device.budgetBytes !== null && bytes > 0 && futureBytes + bytes > (future > 0 ? device.budgetBytes : aloneBytes({ state }, device));
  const lacksThreads = (): boolean => device.isCpu && futureThreads >= settings.threadBudget;
  const lacksPlace = (): boolean => state.future - victims.length >= settings.maxInstances;

  if (lacksMemory() || lacksThreads()) {
    if (!mayEvict) return null;
    for (const victim of device.evictable) {
      if (victim.model === model) continue;
      victims.push(victim);
      futureBytes -= victim.bytes;
      futureThreads -= victim.threads;
      future -= 1;
      if (!lacksMemory() && !lacksThreads()) break;
    }
    if (lacksMemory() || lacksThreads()) return null;
  }
  if (!lacksPlace()) return victims;
  if (!mayEvict) return null;
  for (const victim of state.evictable) {
    if (victim.model === model || victims.includes(victim)) continue;
    victims.push(victim);
    if (!lacksPlace()) return victims;
  }
  return null;
}

/** The instances over the limit that may go now, after a reload lowered it. */
export function surplus(state: SchedulerState): InstanceRecord[] {
  const count = state.future - state.settings.maxInstances;
  const victims: InstanceRecord[] = [];
  for (const instance of state.evictable) {
    if (victims.length >= count) break;
    victims.push(instance);
  }
  return victims;
}
