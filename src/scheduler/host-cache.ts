import { type FurtherInstances, furtherInstances } from "./further.ts";
import type { InstanceRecord, SchedulerState } from "./state.ts";

/**
 * MiB of host memory that an instance which is about to be ordered may use for conversations without a slot: what its model
 * asks for, as far as the machine's budget goes. What all others were granted is taken until their processes are gone. Of
 * what is left an equal part is kept for each further instance, and one for any other model that may be asked for.
 */
export function grantHostCache(state: SchedulerState, instance: InstanceRecord): number {
  const budget = state.settings.hostCacheBudgetMib ?? Number.POSITIVE_INFINITY;
  let left = budget;
  for (const other of state.instances.values()) if (other !== instance) left -= other.hostCacheMib;
  const share = Math.max(0, left) / (1 + furtherInstances(state, instance, wantsHostCache));
  return Math.min(instance.model.spec.load.hostCacheMib, Math.floor(share));
}

/** The embedded engine has none. */
const wantsHostCache: FurtherInstances = ({ engine, load }) => engine !== "node-llama-cpp" && load.hostCacheMib > 0;
