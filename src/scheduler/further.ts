import type { ModelSpec } from "../core/model.ts";
import { replicasOf } from "./replicas.ts";
import { type DeviceRecord, type InstanceRecord, isModelPinned, type SchedulerState } from "./state.ts";

/** Whether an instance of the model on the device would want a share of what is handed out. */
export type FurtherInstances = (spec: ModelSpec, device: DeviceRecord) => boolean;

/**
 * Instances to leave a share for: those decided on, the missing replicas of this model and of models that are to be
 * up anyway, and one more where any other model may be asked for. Leaving a share for each model of a long list would
 * slow down the only one in use; leaving none would make every second model a swap.
 */
export function furtherInstances(state: SchedulerState, instance: InstanceRecord, counts: FurtherInstances): number {
  let further = 0;
  let maybe = 0;
  for (const planned of state.plans) if (planned !== instance && counts(planned.model.spec, planned.device)) further += 1;
  for (const model of state.models.values()) {
    const device = model.eligible[0];
    if (model.removed || device === undefined || !counts(model.spec, device)) continue;
    const missing = Math.max(0, replicasOf(model) - model.future);
    if (model === instance.model || model.spec.preload || isModelPinned(model)) further += missing;
    else if (model.future === 0) maybe = 1;
  }
  return further + maybe;
}
