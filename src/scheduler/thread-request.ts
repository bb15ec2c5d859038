import { replicasOf } from "./replicas.ts";
import { type InstanceRecord, isModelPinned, type SchedulerState } from "./state.ts";
import type { ThreadRequest } from "./threads.ts";

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
