import type { InstanceRecord, ModelRecord, RequestRecord } from "../records.ts";

/** What is to become of a request that could be served. */
export type Routing =
  | { readonly type: "dispatch"; readonly instance: InstanceRecord; readonly cachedTokens: number }
  /** To wait for this instance is quicker than to begin elsewhere now. */
  | { readonly type: "wait-for"; readonly instance: InstanceRecord; readonly untilMs: number }
  /** Every instance with a free slot still has prompts to work off; look again then (epoch ms). */
  | { readonly type: "hold"; readonly untilMs: number };

/**
 * How the instance for a request is chosen. A policy keeps no state: what it needs is in the records, so that the same
 * decisions can be replayed. `rank` orders the instances with a free slot, the least first; equal ranks go to the one
 * with the least work.
 */
export interface RoutingPolicy {
  /** Whether, within a tenant and a priority, short prompts go before long ones. */
  readonly shortestFirst: boolean;
  rank(instance: InstanceRecord): number;
  /**
   * Called only while an instance of the model has a free slot. `now` is epoch ms; an `urgent` request waits for
   * nobody.
   */
  route(model: ModelRecord, request: RequestRecord, now: number, urgent: boolean): Routing;
}

/** A free slot, taken as it is. The caller has seen that there is one. */
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
