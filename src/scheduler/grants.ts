import type { ModelSpec } from "../core/model.ts";
import { hasProcess } from "./life.ts";
import type { DeviceRecord, InstanceRecord } from "./records.ts";
import type { SchedulerState } from "./state.ts";

/** Threads of an instance that is about to be ordered: what the governor grants, but one is kept for each other that has a place and no order yet. */
export function threadsFor(state: SchedulerState, instance: InstanceRecord): number {
  const { device, model } = instance;
  const budget = state.settings.threadBudget;
  const left = device.isCpu ? budget - Math.max(device.taken.live.threads, device.taken.future.threads - 1) : budget;
  const granted = state.grantThreads({
    budget,
    running: [...state.instances.values()].filter((other) => other !== instance && hasProcess(other.life)),
    computesOn: device.isCpu ? "cpu" : "gpu",
    wanted: model.spec.load.threads,
    furtherCpuInstances: furtherInstances(state, instance, (_spec, { isCpu }) => isCpu),
  });
  return Math.max(1, Math.min(Math.floor(granted), left));
}

/**
 * MiB of host memory that an instance which is about to be ordered may use for conversations without a slot: what its model
 * asks for, as far as the machine's budget goes. What all others were granted is taken until their processes are gone. Of
 * what is left an equal part is kept for each further instance, and one for any other model that may be asked for.
 */
export function hostCacheFor(state: SchedulerState, instance: InstanceRecord): number {
  let left = state.settings.hostCacheBudgetMib ?? Number.POSITIVE_INFINITY;
  for (const other of state.instances.values()) if (other !== instance) left -= other.hostCacheMib;
  // The embedded engine has none.
  const further = furtherInstances(
    state,
    instance,
    ({ engine, load }) => engine !== "node-llama-cpp" && load.hostCacheMib > 0,
  );
  return Math.min(instance.model.spec.load.hostCacheMib, Math.floor(Math.max(0, left) / (1 + further)));
}

/**
 * Instances to leave a share for, those that `counts` says want one: those decided on, the missing replicas of this model and of models that
 * are to be up anyway, and one more where any other model may be asked for. Leaving a share for each model of a long list would
 * slow down the only one in use; leaving none would make every second model a swap.
 */
function furtherInstances(
  state: SchedulerState,
  instance: InstanceRecord,
  counts: (spec: ModelSpec, device: DeviceRecord) => boolean,
): number {
  let further = 0;
  let maybe = 0;
  for (const planned of state.plans)
    if (planned !== instance && counts(planned.model.spec, planned.device)) further += 1;
  for (const model of state.models.values()) {
    const device = model.eligible[0];
    if (model.removed || device === undefined || !counts(model.spec, device)) continue;
    if (model === instance.model || model.spec.preload || model.isPinned)
      further += Math.max(0, model.replicas - model.supply.future);
    else if (model.supply.future === 0) maybe = 1;
  }
  return further + maybe;
}
