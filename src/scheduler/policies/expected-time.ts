import { costOf, MISS_WEIGHT } from "../cost.ts";
import { type HeldPrefix, heldTokens } from "../prefix/prefix-index.ts";
import { type InstanceRecord, lessWork, type ModelRecord } from "../records.ts";
import { firstFree, type RoutingPolicy } from "./policy.ts";

/** Holders of a prefix that are looked at for one request: a prefix that all share must not mean a look at all. */
const MAX_HOLDERS = 16;
/** With this many instances or fewer, all are compared. */
const FEW = 8;
/**
 * Requests that may wait for one instance while they could begin elsewhere: all of them are looked at again whenever
 * something happens there.
 */
const MAX_PARKED = 4;
/** Instances that are looked at for one that is free soon. */
const LOOKED_AT = 8;
/**
 * Prompts are handed to an instance so that it has work for this long. More would take them out of our hands, in which
 * they could still go elsewhere or give way to shorter ones; less would leave it idle between two prompts.
 */
const AHEAD_MS = 40;
/** To wait must be quicker by this share: estimates are estimates, and a slot in the hand is not. */
const MARGIN = 1.1;

interface Candidate {
  readonly instance: InstanceRecord;
  readonly cachedTokens: number;
  readonly costMs: number;
}

/**
 * The instance with the least cost (see cost.ts). A conversation so stays with the instance that had its last turn,
 * unless to wait there takes longer than to compute all of it elsewhere, three times over. For one that begins, what
 * all begin with does not tie it to the instance that was the first to hold it. A request waits for an instance that
 * holds its beginning where that is quicker than to start cold now, and all wait while every instance has prompts
 * enough.
 */
export const expectedTime: RoutingPolicy = {
  shortestFirst: true,
  rank: (instance) => instance.prefilledAt,
  route(model, request, now, urgent) {
    const first = soonest(model, now);
    // Where it takes no prompt now, none does, and nothing more need be looked at.
    if (first !== null && !urgent && !takesNow(first, now))
      return { type: "hold", untilMs: Math.max(now + 1, now + first.prefillWaitMs(now) - AHEAD_MS) };
    // With nothing to compare, the comparison would be most of what a request costs here.
    if (model.instances.size === 1) return firstFree(model, request);
    let open: Candidate | null = null;
    let closed: Candidate | null = null;
    const { prefix, promptTokens } = request.facts;
    const held = [...model.prefixes.held(prefix)];
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

/** Where nothing was measured yet, a free slot is all that counts. */
const takesNow = (instance: InstanceRecord, now: number): boolean =>
  !instance.isMeasured || instance.prefillWaitMs(now) <= AHEAD_MS;

/**
 * The instance that has worked off its prompts first. The heap has them in the order in which they should have: one
 * that is late is not the first.
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
 * All instances of a few; of many, the one that is free first and those that hold the longest parts of the prompt; and
 * how much of it each holds.
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
      // Who holds a longer part was found before, and is not better with a shorter one.
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

/** A conversation that begins: no instance holds its last turn. */
interface Beginning {
  /** Tokens of its prompt that two conversations or more have begun with. */
  readonly commonTokens: number;
  /** Tokens of conversations on the instance that holds most. */
  readonly mostHeld: number;
}

/** Null where the request goes on with a conversation that an instance holds: that has its place. */
function beginningOf(held: Held, promptTokens: number, instances: Iterable<InstanceRecord>): Beginning | null {
  if ((held[0]?.holders.tips ?? 0) > 0) return null;
  let mostHeld = 0;
  for (const instance of instances) mostHeld = Math.max(mostHeld, instance.prefixes.tokens);
  // What one conversation alone has begun with may be its own: a prompt without messages has no other sign of going on.
  const common = held.find(({ holders }) => holders.conversations > 1);
  return { commonTokens: Math.min(common?.tokens ?? 0, promptTokens), mostHeld };
}

/**
 * Tokens of a common beginning that are not lost when the instance computes them: it will need them for its part of the
 * conversations to come, and while its cache has room they push nothing out. At most as many as it holds less than
 * others.
 */
function investedTokens({ commonTokens, mostHeld }: Beginning, instance: InstanceRecord, cachedTokens: number): number {
  const held = instance.prefixes.tokens;
  const roomShare = Math.max(0, 1 - held / Math.max(1, instance.cacheTokens));
  return roomShare * Math.max(0, Math.min(commonTokens - cachedTokens, mostHeld - held));
}

/**
 * A conversation that begins will come back, and finds those there that live there: its own tokens count the more, the
 * more the instance holds.
 */
function crowdingTokens({ commonTokens, mostHeld }: Beginning, instance: InstanceRecord, promptTokens: number): number {
  return mostHeld === 0 ? 0 : ((promptTokens - commonTokens) * instance.prefixes.tokens) / mostHeld;
}
