import { costOf, MISS_WEIGHT } from "../cost.ts";
import { type HeldPrefix, heldTokens } from "../prefix/prefix-index.ts";
import { type InstanceRecord, lessWork, type ModelRecord } from "../records.ts";
import { firstFree, type RoutingPolicy } from "./policy.ts";

/** Holders of a prefix that are considered for one request: a prefix shared by all must not cause a scan of all. */
const MAX_HOLDERS = 16;
/** Up to this many instances are all compared. */
const FEW = 8;
/** Requests that may be parked for one instance: all of them are reconsidered on each of its events. */
const MAX_PARKED = 4;
/** Instances examined to find one that is free soon. */
const LOOKED_AT = 8;
/**
 * Prompts are sent to an instance so that it has work for this long. With more, they could no longer go elsewhere or be
 * overtaken by shorter ones; with less, it would be idle between two prompts.
 */
const AHEAD_MS = 40;
/** Waiting must be faster by this factor: estimates are inexact, and a free slot is certain. */
const MARGIN = 1.1;

interface Candidate {
  readonly instance: InstanceRecord;
  readonly cachedTokens: number;
  readonly costMs: number;
}

/**
 * The instance with the lowest cost (see cost.ts). A conversation thus stays with the instance that had its last turn,
 * unless waiting there takes longer than computing all of it elsewhere, three times over. A new conversation is not
 * tied to the instance that was the first to hold a shared prefix. A request waits for an instance with its prefix if
 * that is faster than starting without it now, and all wait while every instance has enough prompts.
 */
export const expectedTime: RoutingPolicy = {
  shortestFirst: true,
  rank: (instance) => instance.prefilledAt,
  route(model, request, now, urgent) {
    const first = soonest(model, now);
    // If this one accepts no prompt now, none does.
    if (first !== null && !urgent && !takesNow(first, now))
      return { type: "hold", untilMs: Math.max(now + 1, now + first.prefillWaitMs(now) - AHEAD_MS) };
    // With a single instance, the comparison would be most of a request's cost here.
    if (model.instances.size === 1) return firstFree(model, request);
    let open: Candidate | null = null;
    let closed: Candidate | null = null;
    const { prefix, promptTokens } = request.facts;
    const held = model.prefixes.held(prefix);
    const found = candidates(model, held, promptTokens, first);
    const beginning = beginningOf(held, promptTokens, found.keys());
    for (const [instance, cachedTokens] of found) {
      let costMs = costOf(instance, request, cachedTokens, now).weighedMs;
      if (beginning !== null) {
        const invested = MISS_WEIGHT * investedTokens(beginning, instance, cachedTokens);
        costMs += (crowdingTokens(beginning, instance, promptTokens) - invested) / instance.prefillPerMs;
      }
      const candidate = { instance, cachedTokens, costMs };
      if (instance.heapIndex >= 0 && (urgent || takesNow(instance, now))) {
        if (open === null || isBetter(candidate, open)) open = candidate;
      } else if (closed === null || isBetter(candidate, closed)) closed = candidate;
    }
    if (open === null) return firstFree(model, request);
    if (
      closed !== null &&
      !urgent &&
      closed.costMs * MARGIN < open.costMs &&
      closed.instance.parked.size < MAX_PARKED
    ) {
      const { instance } = closed;
      return {
        type: "wait-for",
        instance,
        untilMs: now + Math.max(1, instance.slotWaitMs + instance.prefillWaitMs(now) - AHEAD_MS),
      };
    }
    return { type: "dispatch", instance: open.instance, cachedTokens: open.cachedTokens };
  },
};

/** Without any measurement, only free slots count. */
const takesNow = (instance: InstanceRecord, now: number): boolean =>
  !instance.isMeasured || instance.prefillWaitMs(now) <= AHEAD_MS;

/**
 * The first instance to finish its prompts. The heap orders them by expected time, so one that is late may be first
 * there.
 */
function soonest({ available }: ModelRecord, now: number): InstanceRecord | null {
  let best: InstanceRecord | null = null;
  let leastMs = Number.POSITIVE_INFINITY;
  for (let index = 0; index < LOOKED_AT && leastMs > 0; index++) {
    const instance = available.items[index];
    if (instance === undefined) break;
    const waitMs = instance.prefillWaitMs(now);
    if (waitMs < leastMs) [best, leastMs] = [instance, waitMs];
  }
  return best;
}

type Held = readonly HeldPrefix<InstanceRecord>[];

/**
 * All instances if there are few; otherwise the one that is free first and those that hold the longest parts of the
 * prompt, with the number of tokens that each holds.
 */
function candidates(
  model: ModelRecord,
  held: Held,
  promptTokens: number,
  first: InstanceRecord | null,
): Map<InstanceRecord, number> {
  const found = new Map<InstanceRecord, number>();
  const add = (instance: InstanceRecord): void => {
    const prefix = held.find(({ holders }) => holders.counts.has(instance));
    found.set(instance, prefix === undefined ? 0 : Math.min(heldTokens(instance, prefix), promptTokens));
  };
  if (model.instances.size <= FEW) {
    for (const instance of model.instances) if (isServing(instance)) add(instance);
    return found;
  }
  for (const prefix of held) {
    for (const instance of prefix.holders.counts.keys()) {
      if (found.size >= MAX_HOLDERS) break;
      // An instance with a longer part was found before, and is not better with a shorter one.
      if (isServing(instance) && !found.has(instance))
        found.set(instance, Math.min(heldTokens(instance, prefix), promptTokens));
    }
  }
  if (first !== null && !found.has(first)) add(first);
  return found;
}

const isServing = ({ life, suspect }: InstanceRecord): boolean => life.phase === "ready" && !suspect.armed;

function isBetter(a: Candidate, b: Candidate): boolean {
  return a.costMs === b.costMs ? lessWork(a.instance, b.instance) : a.costMs < b.costMs;
}

/** A new conversation: no instance holds its last turn. */
interface Beginning {
  /** Tokens of its prompt that at least two conversations have begun with. */
  readonly commonTokens: number;
  /** Tokens of conversations on the instance that holds most. */
  readonly mostHeld: number;
}

/** Null if the request continues a conversation that an instance holds. */
function beginningOf(held: Held, promptTokens: number, instances: Iterable<InstanceRecord>): Beginning | null {
  if ((held[0]?.holders.tips ?? 0) > 0) return null;
  let mostHeld = 0;
  for (const instance of instances) mostHeld = Math.max(mostHeld, instance.prefixes.tokens);
  // A prefix of a single conversation may be its own: a prompt without messages has no other sign of being continued.
  const common = held.find(({ holders }) => holders.conversations > 1);
  return { commonTokens: Math.min(common?.tokens ?? 0, promptTokens), mostHeld };
}

/**
 * Tokens of a shared prefix that are not wasted when the instance computes them: it will need them for its share of
 * future conversations, and while its cache has room they displace nothing. At most as many as it holds fewer than
 * others.
 */
function investedTokens({ commonTokens, mostHeld }: Beginning, instance: InstanceRecord, cachedTokens: number): number {
  const held = instance.prefixes.tokens;
  const roomShare = Math.max(0, 1 - held / Math.max(1, instance.cacheTokens));
  return roomShare * Math.max(0, Math.min(commonTokens - cachedTokens, mostHeld - held));
}

/**
 * A new conversation will return, and then compete with those that live on the instance: its own tokens count more, the
 * more the instance holds.
 */
function crowdingTokens({ commonTokens, mostHeld }: Beginning, instance: InstanceRecord, promptTokens: number): number {
  return mostHeld === 0 ? 0 : ((promptTokens - commonTokens) * instance.prefixes.tokens) / mostHeld;
}
