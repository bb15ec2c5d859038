import type { InstanceRecord, ModelRecord, RoutingPolicy } from "../records.ts";
import { firstFree, take } from "./policy.ts";

/** An instance with more than this share of the mean number of requests is passed over. */
const BOUND = 1.25;
/** Points of one instance on the ring; more make the shares more even. */
const POINTS = 32;
/** The boundary that names a conversation: the first is often a system prompt that all share. */
const MARK = 1;

interface Ring {
  /** What it was made for. */
  readonly version: number;
  readonly points: readonly { readonly at: number; readonly instance: InstanceRecord }[];
}

const rings = new WeakMap<ModelRecord, Ring>();

/** Consistent hashing of a prompt's beginning, with bounded loads: the next instance clockwise that is not over 1.25 × the mean. */
export const boundedHash: RoutingPolicy = {
  name: "bounded-hash",
  shortestFirst: false,
  rank: (instance) => instance.inFlight.size / Math.max(1, instance.slots),
  route(model, request) {
    const { prefix } = request.facts;
    const mark = prefix[Math.min(MARK, prefix.length - 1)];
    if (mark === undefined) return firstFree(model, request);
    const { points } = ringOf(model);
    const most = Math.ceil((BOUND * (model.inFlight + 1)) / Math.max(1, model.serving));
    const from = firstAfter(points, hashOf(mark.hash));
    for (let step = 0; step < points.length; step++) {
      const instance = points[(from + step) % points.length]?.instance;
      if (instance !== undefined && instance.heapIndex >= 0 && instance.inFlight.size < most) return take(model, instance, request);
    }
    return firstFree(model, request);
  },
};

/** Made anew when instances came or went: a cache of what follows from the records, not a memory. */
function ringOf(model: ModelRecord): Ring {
  const known = rings.get(model);
  if (known?.version === model.membership) return known;
  const points = [...model.instances].flatMap((instance) =>
    Array.from({ length: POINTS }, (_, point) => ({ at: hashOf(`${instance.id}/${point}`), instance })),
  );
  points.sort((a, b) => a.at - b.at || a.instance.serial - b.instance.serial);
  const ring = { version: model.membership, points };
  rings.set(model, ring);
  return ring;
}

function firstAfter(points: Ring["points"], hash: number): number {
  let low = 0;
  let high = points.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((points[middle]?.at ?? 0) < hash) low = middle + 1;
    else high = middle;
  }
  return low === points.length ? 0 : low;
}

/** 32 bits, evenly spread (FNV-1a with a final mix). */
function hashOf(text: string): number {
  let hash = 0x811c9dc5;
  for (let index = 0; index < text.length; index++) hash = Math.imul(hash ^ text.charCodeAt(index), 0x01000193);
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}
