import { furtherInstances } from "./further.ts";
import type { InstanceRecord, SchedulerState } from "./state.ts";
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
    furtherCpuInstances: furtherInstances(state, instance, (_spec, device) => device.isCpu),
  };
}
