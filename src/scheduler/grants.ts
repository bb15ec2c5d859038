import type { ModelSpec } from "../core/model.ts";
import { hasProcess, type Use } from "./life.ts";
import type { DeviceRecord, InstanceRecord } from "./records.ts";
import type { SchedulerState, Turn } from "./state.ts";

/** Threads of an instance on a GPU without `threads`: one waits for the GPU, one samples and answers. */
const GPU_THREADS = 2;

/**
 * Threads of an instance about to be ordered, at least 1 (room has been checked). On a CPU an even share of the threads
 * free for it and for those that may start next to it; a number below the budget was chosen for this model, so it gets
 * that many as long as one is left for each other. Never more than are free, and one is kept for each planned instance
 * without an order.
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

/** The most threads it may use while others are idle. */
export function mostThreadsFor({ settings }: SchedulerState, { device, model }: InstanceRecord, own: number): number {
  const { threads } = model.spec.load;
  if (!device.isCpu) return own;
  return Math.max(own, threads === "auto" ? settings.threadBudget : Math.min(threads, settings.threadBudget));
}

/**
 * Lends the threads of idle instances to the busy ones, in equal parts. An instance that becomes busy has its own again
 * with the others' next batch. Instances on GPUs keep theirs: they need few.
 */
export function lendThreads({ state, effects }: Turn, cpu: DeviceRecord): void {
  const busy = [...cpu.instances].filter(({ isBusy }) => isBusy);
  let spare = state.settings.threadBudget;
  for (const device of state.inUse) if (!device.isCpu) spare -= device.taken.live.threads;
  for (const { threads } of busy) spare -= threads;
  for (const [index, instance] of busy.entries()) {
    const part = Math.max(0, Math.ceil(spare / (busy.length - index)));
    const threads = Math.min(instance.mostThreads, instance.threads + part);
    spare -= threads - instance.threads;
    if (threads === instance.lentThreads) continue;
    instance.lentThreads = threads;
    effects.push({ type: "lend", instanceId: instance.id, threads });
  }
}

/**
 * Host memory, in MiB, that an instance about to be ordered may use for conversations without a slot: what its model
 * requests, within the machine's budget. Grants of other instances count until their processes have exited. An equal
 * part of the rest is kept for each further instance, and one for any other model that may be requested.
 */
export function hostCacheFor(state: SchedulerState, instance: InstanceRecord): number {
  let left = state.settings.hostCacheBudgetMib ?? Number.POSITIVE_INFINITY;
  for (const other of state.instances.values()) if (other !== instance) left -= other.hostCacheMib;
  // The embedded engine has no such cache.
  const further = furtherInstances(
    state,
    instance,
    ({ engine, load }) => engine !== "node-llama-cpp" && load.hostCacheMib > 0,
  );
  return Math.min(instance.model.spec.load.hostCacheMib, Math.floor(Math.max(0, left) / (1 + further)));
}

/**
 * Instances to reserve a share for, among those that `counts` accepts: planned ones, missing replicas of this model and
 * of preloaded models, and one more if any other model may be requested. Reserving a share for every model of a long
 * list would slow down the only one in use; reserving none would make every second model a swap.
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
 * Maximum number of instances with one thread each, as a multiple of the budget: each one slows down all others while
 * all are busy.
 */
const MAX_SHARING = 2;

/**
 * Whether one more instance has a thread next to others on the same cores. Threads of one process wait for each other
 * many times per token, so one that has lost its core to another process holds up all of them; processes with one
 * thread share cores without loss. The first instance of a model may therefore exceed the budget while all others have
 * one thread, instead of evicting a model; another replica would gain nothing.
 */
export function hasThread(
  { settings: { threadBudget } }: SchedulerState,
  { isCpu }: DeviceRecord,
  { threads, count }: Use,
  first: boolean,
): boolean {
  return !isCpu || threads < threadBudget || (first && threads === count && count < MAX_SHARING * threadBudget);
}
