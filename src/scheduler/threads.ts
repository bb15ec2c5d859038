import { replicasOf } from "./placement.ts";
import { type InstanceRecord, type SchedulerState, isModelPinned } from "./state.ts";

/** What the governor is asked. */
export interface ThreadRequest {
  /** Threads that all instances together may use. */
  readonly budget: number;
  /** The other instances. */
  readonly running: readonly { readonly threads: number }[];
  /** One on a GPU only feeds it. */
  readonly computesOn: "cpu" | "gpu";
  /** The model's setting. */
  readonly wanted: number | "auto";
  /** CPU instances that may start later and run beside this one. */
  readonly furtherCpuInstances: number;
}

/** Says how many threads an instance that is about to start gets. Less than 1 is taken as 1: the room was seen to before. */
export type GrantThreads = (request: ThreadRequest) => number;

/** The grant used where no other is supplied: what is asked for, or an even share on a CPU, or one thread on a GPU, never more than is free. */
export const grantFreeThreads: GrantThreads = ({ budget, running, computesOn, wanted, furtherCpuInstances }) => {
  const free = budget - running.reduce((sum, holder) => sum + holder.threads, 0);
  if (wanted !== "auto") return Math.min(wanted, free);
  return computesOn === "gpu" ? Math.min(1, free) : Math.floor(free / (1 + furtherCpuInstances));
};

/** Puts the question for an instance that is about to be ordered. */
export function threadRequest(state: SchedulerState, instance: InstanceRecord): ThreadRequest {
  const running: { threads: number }[] = [];
  for (const other of state.instances.values()) {
    if (other !== instance && other.phase !== "planned" && other.phase !== "failed") running.push({ threads: other.threads });
  }
  return {
    budget: state.settings.threadBudget,
    running,
    computesOn: instance.device.isCpu ? "cpu" : "gpu",
    wanted: instance.model.spec.load.threads,
    furtherCpuInstances: furtherCpuInstances(state, instance),
  };
}

/**
 * CPU instances to leave threads for: those decided on, the missing replicas of this model and of models that are to be
 * up anyway, and one more where any other model may be asked for. Leaving a share for each model of a long list would
 * slow down the only one in use; leaving none would make every second model a swap.
 */
function furtherCpuInstances(state: SchedulerState, instance: InstanceRecord): number {
  let further = 0;
  let maybe = 0;
  for (const planned of state.plans) if (planned !== instance && planned.device.isCpu) further += 1;
  for (const model of state.models.values()) {
    if (model.removed || !model.eligible[0]?.isCpu) continue;
    const missing = Math.max(0, replicasOf(model) - model.future);
    if (model === instance.model || model.spec.preload || isModelPinned(model)) further += missing;
    else if (model.future === 0) maybe = 1;
  }
  return further + maybe;
}
