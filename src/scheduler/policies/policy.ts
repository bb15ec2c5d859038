import type { InstanceRecord, ModelRecord, RequestRecord } from "../records.ts";

/** The decision for a request that could be served. */
export type Routing =
  | { readonly type: "dispatch"; readonly instance: InstanceRecord; readonly cachedTokens: number }
  /** Waiting for this instance is faster than starting elsewhere now. */
  | { readonly type: "wait-for"; readonly instance: InstanceRecord; readonly untilMs: number }
  /** Every instance with a free slot still has prompts to process; decide again then (epoch ms). */
  | { readonly type: "hold"; readonly untilMs: number };

/**
 * How the instance for a request is chosen. A policy keeps no state: everything it needs is in the records, so that
 * decisions can be replayed. `rank` orders the instances with a free slot, lowest first; equal ranks go to the one with
 * the least work.
 */
export interface RoutingPolicy {
  /** Whether, within a tenant and a priority, short prompts go before long ones. */
  readonly shortestFirst: boolean;
  rank(instance: InstanceRecord): number;
  /**
   * Called only while an instance of the model has a free slot. `now` is epoch ms; an `urgent` request must not wait.
   */
  route(model: ModelRecord, request: RequestRecord, now: number, urgent: boolean): Routing;
}

/** The first free slot, without comparison. The caller has checked that there is one. */
export function firstFree(model: ModelRecord, request: RequestRecord): Routing {
  const instance = model.available.peek();
  if (instance === undefined) throw new Error(`no instance of ${model.name} has a free slot`);
  return take(instance, request);
}

export const take = (instance: InstanceRecord, request: RequestRecord): Routing => ({
  type: "dispatch",
  instance,
  cachedTokens: instance.cachedTokens(request.facts),
});
