import type { ModelSpec } from "../core/model.ts";
import { hasProcess, type Use } from "./life.ts";
import type { DeviceRecord, InstanceRecord } from "./records.ts";
import type { SchedulerState } from "./state.ts";

/** Threads of an instance on a GPU that asks for no number: one waits for it, one samples and answers. */
const GPU_THREADS = 2;

/**
 * Threads of an instance that is about to be ordered, at least 1: the room was seen to before. On a CPU an even share
 * of what is free for it and those that may start beside it; a number below the budget was chosen for this model, so it
 * gets that as far as one is left for each other. Never more than is free, and one is kept for each that has a place
 * and no order yet.
 */
export function threadsFor(state: SchedulerState, instance: InstanceRecord): number {
  const { device, model } = instance;
  const budget = state.settings.threadBudget;
  const wanted = model.spec.load.threads;
  let free = budget;
  for (const other of state.instances.values()) if (other !== instance && hasProcess(other.life)) free -= other.threads;
  if (!device.isCpu) return Math.max(1, Math.min(wanted === "auto" ? GPU_THREADS : wanted, free));
  const further = furtherInstances(state, instance, (_spec, { isCpu }) => isCpu);
  const share = wanted !== "auto" && wanted < budget ? Math.min(wanted, free - further) : free / (1 + further);
  return Math.max(
    1,
    Math.min(Math.floor(share), budget - Math.max(device.taken.live.threads, device.taken.future.threads - 1)),
  );
}

/**
 * MiB of host memory that an instance which is about to be ordered may use for conversations without a slot: what its
 * model asks for, as far as the machine's budget goes. What all others were granted is taken until their processes are
 * gone. Of what is left an equal part is kept for each further instance, and one for any other model that may be asked
 * for.
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
 * Instances to leave a share for, those that `counts` says want one: those decided on, the missing replicas of this
 * model and of models that are to be up anyway, and one more where any other model may be asked for. Leaving a share
 * for each model of a long list would slow down the only one in use; leaving none would make every second model a swap.
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

/**
 * Most instances of one thread each, as a multiple of the budget: each more makes all slower while they are all at
 * work.
 */
const MAX_SHARING = 2;

/**
 * Whether one more instance has a thread beside others on the same cores. Threads of one process wait for each other
 * many times within a token, so that one that has lost its core to another process holds up all of them; processes of
 * one thread share cores without loss. The first instance of a model may therefore start over the budget while all
 * others have one thread, rather than push a model out; a further replica would gain nothing.
 */
export function hasThread(
  { settings: { threadBudget } }: SchedulerState,
  { isCpu }: DeviceRecord,
  { threads, count }: Use,
  first: boolean,
): boolean {
  return !isCpu || threads < threadBudget || (first && threads === count && count < MAX_SHARING * threadBudget);
}
