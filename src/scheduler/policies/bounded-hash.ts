import type { InstanceRecord } from "../records.ts";
import { firstFree, type RoutingPolicy, take } from "./policy.ts";

/** An instance with more than this share of the mean number of requests is skipped. */
const BOUND = 1.25;
/** The boundary that identifies a conversation: the first is often a shared system prompt. */
const MARK = 1;

/**
 * Consistent hashing of a prompt's prefix, with bounded loads: among the instances below 1.25 × the mean, the one with
 * the highest hash of both (rendezvous hashing).
 */
export const boundedHash: RoutingPolicy = {
  shortestFirst: false,
  rank: (instance) => instance.inFlight.size / Math.max(1, instance.slots),
  route(model, request) {
    const { prefix } = request.facts;
    const mark = prefix[Math.min(MARK, prefix.length - 1)];
    if (mark === undefined) return firstFree(model, request);
    const most = Math.ceil((BOUND * (model.inFlight + 1)) / Math.max(1, model.supply.serving));
    const key = hashOf(mark.hash);
    let best: InstanceRecord | null = null;
    let highest = -1;
    for (const instance of model.available.items) {
      if (instance.inFlight.size >= most) continue;
      const hash = mixed(key ^ Math.imul(instance.serial, 0x9e3779b1));
      if (hash > highest) [best, highest] = [instance, hash];
    }
    return best === null ? firstFree(model, request) : take(best, request);
  },
};

/** 32 bits (FNV-1a). */
function hashOf(text: string): number {
  let hash = 0x811c9dc5;
  for (let index = 0; index < text.length; index++) hash = Math.imul(hash ^ text.charCodeAt(index), 0x01000193);
  return hash;
}

/** Spreads 32 bits evenly. */
function mixed(bits: number): number {
  let hash = Math.imul(bits ^ (bits >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}
