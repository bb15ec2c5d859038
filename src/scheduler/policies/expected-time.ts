import { expectedCompletion, loadOf } from "../load.ts";
import { isMeasured, prefillPerMs, prefillWaitMs } from "../rates.ts";
import type { InstanceRecord, ModelRecord, RequestRecord, RoutingPolicy } from "../records.ts";
import { type Beginning, beginningOf, crowdingTokens, investedTokens } from "./beginning.ts";
import { cachedOn, firstFree } from "./policy.ts";

/** Holders of a prefix that are looked at for one request: a prefix that all share must not mean a look at all. */
const MOST_HOLDERS = 16;
/** With this many instances or fewer, all are compared, with free slots or not. */
const FEW = 8;
/**
 * Prompts are handed to an instance so that it has work for this long. More would take them out of our hands, in which
 * they could still go elsewhere or give way to shorter ones; less would leave it idle between two prompts.
 */
const AHEAD_MS = 40;
/** Requests that may wait for one instance while they could begin elsewhere. */
const MOST_WAITING = 4;
/** To wait must be quicker by this share: estimates are estimates, and a slot in the hand is not. */
const MARGIN = 1.1;
/**
 * A token that is not cached counts this often. Its own time is what this request waits; but it also delays all who come
 * after, and what it adds to the cache pushes something else out. By the simulator: 1 gives three quarters of the
 * hits that one pooled cache would have, 3 nine tenths, at the same p99; beyond that waits grow.
 */
const MISS_WEIGHT = 3;
/** Weight of the sequences that an instance decodes already: each slows down its answer a little. */
const DECODE_SHARE = 0.1;

interface Holder {
  readonly instance: InstanceRecord;
  readonly cachedTokens: number;
}

interface Candidate extends Holder {
  readonly costMs: number;
  /** At max_load or above: takes only what no other can take, and the conversations that it holds. */
  readonly loaded: boolean;
}

/**
 * The instance that will give the first token soonest.
 *
 *   cost = (3 × prompt tokens not cached there + prompt tokens queued there) ÷ its prefill rate
 *        + wait for a slot + share of its decoding
 *
 * A conversation so stays with the instance that had its last turn, unless to wait there takes longer than to compute all of it
 * elsewhere, three times over. For one that begins, what all begin with does not tie it to the instance that was the first to
 * hold it; see beginning.ts.
 *
 * A request waits for an instance that holds its beginning where that is quicker than to start cold now, and all wait
 * while every instance has prompts enough.
 */
export const expectedTime: RoutingPolicy = {
  name: "expected-time",
  shortestFirst: true,
  rank: (instance) => (instance.unanswered === 0 ? 0 : instance.prefilledAt),
  route(model, request, now, maxLoad, urgent) {
    const first = model.available.peek();
    // The first of them is the one that is free soonest: where it is not, none is, and nothing more need be looked at.
    if (first !== undefined && !urgent && !takesNow(first, now))
      return { type: "hold", untilMs: Math.max(now + 1, now + prefillWaitMs(first, now) - AHEAD_MS) };
    const found = candidates(model, request);
    const beginning = beginningOf(model, request, found);
    let open: Candidate | null = null;
    let closed: Candidate | null = null;
    for (const holder of found) {
      const { instance } = holder;
      const loaded = beginning !== null && loadOf(instance) >= maxLoad;
      const candidate = { ...holder, costMs: costOf(model, request, holder, beginning, now), loaded };
      if (instance.heapIndex >= 0 && (urgent || takesNow(instance, now))) {
        if (open === null || isBetter(candidate, open)) open = candidate;
      } else if (closed === null || isBetter(candidate, closed)) closed = candidate;
    }
    if (open === null) return firstFree(model, request);
    if (closed !== null && !urgent && closed.loaded <= open.loaded && closed.costMs * MARGIN < open.costMs && closed.instance.parked.size < MOST_WAITING)
      return { type: "wait-for", instance: closed.instance, untilMs: now + Math.max(1, waitMs(model, closed.instance, now) - AHEAD_MS) };
    return { type: "dispatch", instance: open.instance, cachedTokens: open.cachedTokens };
  },
};

/** Where nothing was measured yet, a free slot is all that counts. */
const takesNow = (instance: InstanceRecord, now: number): boolean => !isMeasured(instance) || prefillWaitMs(instance, now) <= AHEAD_MS;

/** All instances of a few; of many, the one that is free first and those that hold the longest parts of the prompt. */
function candidates(model: ModelRecord, request: RequestRecord): Holder[] {
  const found: Holder[] = [];
  if (model.instances.size <= FEW) {
    for (const instance of model.instances) if (isServing(instance)) found.push({ instance, cachedTokens: cachedOn(model, instance, request) });
    return found;
  }
  const first = model.available.peek();
  let cachedOnFirst = 0;
  const { prefix, promptTokens } = request.facts;
  for (let index = prefix.length - 1; index >= 0 && found.length < MOST_HOLDERS; index--) {
    const mark = prefix[index];
    const holders = mark && model.prefixes.holders(mark.hash);
    if (mark === undefined || holders === undefined) continue;
    const cachedTokens = Math.min(mark.tokens, promptTokens);
    if (first !== undefined && cachedOnFirst === 0 && holders.has(first)) cachedOnFirst = cachedTokens;
    for (const instance of holders.some(MOST_HOLDERS)) {
      if (found.length >= MOST_HOLDERS) break;
      // Who holds a longer part was found before, and is not better with a shorter one.
      if (isServing(instance) && !found.some((other) => other.instance === instance)) found.push({ instance, cachedTokens });
    }
  }
  if (first !== undefined && !found.some(({ instance }) => instance === first)) found.push({ instance: first, cachedTokens: cachedOnFirst });
  return found;
}

const isServing = (instance: InstanceRecord): boolean =>
  instance.heapIndex >= 0 || (instance.phase === "ready" && instance.leaving === null && !instance.held && instance.suspect.heapIndex < 0);

/** Milliseconds until the instance could begin with one more prompt. */
function waitMs(model: ModelRecord, instance: InstanceRecord, now: number): number {
  const slot = instance.inFlight.size < instance.slots ? 0 : (model.averages.holdMs.value ?? 0) / Math.max(1, instance.slots);
  return prefillWaitMs(instance, now) + slot;
}

function costOf(model: ModelRecord, request: RequestRecord, { instance, cachedTokens }: Holder, beginning: Beginning | null, now: number): number {
  const { promptTokens, maxTokens } = request.facts;
  const decodes = instance.inFlight.size - instance.unanswered;
  const perToken = instance.decodeRate.ms > 0 ? instance.decodeRate.ms / instance.decodeRate.tokens : 0;
  const shareMs = (DECODE_SHARE * expectedCompletion(model, maxTokens) * perToken * decodes) / Math.max(1, instance.slots);
  let tokens = MISS_WEIGHT * (promptTokens - cachedTokens);
  if (beginning !== null) tokens += crowdingTokens(beginning, instance, promptTokens) - MISS_WEIGHT * investedTokens(beginning, instance, cachedTokens);
  for (const other of instance.parked) tokens += other.expectedPrefill;
  return waitMs(model, instance, now) + tokens / prefillPerMs(instance) + shareMs;
}

function isBetter(a: Candidate, b: Candidate): boolean {
  if (a.loaded !== b.loaded) return b.loaded;
  if (a.costMs !== b.costMs) return a.costMs < b.costMs;
  const work = a.instance.prefillTokens + a.instance.decodeTokens - b.instance.prefillTokens - b.instance.decodeTokens;
  if (work !== 0) return work < 0;
  return a.instance.lastUsedAt !== b.instance.lastUsedAt ? a.instance.lastUsedAt > b.instance.lastUsedAt : a.instance.serial < b.instance.serial;
}
