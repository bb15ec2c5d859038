import { loadOf, outstandingTokens } from "./load.ts";
import type { InstanceRecord, ModelRecord, RequestRecord } from "./state.ts";

/** Holders of a prefix that are looked at for one request: a prefix that all share must not mean a look at all. */
const MOST_HOLDERS = 16;

export interface Choice {
  readonly instance: InstanceRecord;
  readonly cachedTokens: number;
}

/**
 * The instance with the least cost among those with a free slot, or null when there is none.
 *
 *   cost = outstanding tokens + prompt tokens left after the longest cached prefix
 *
 * Two kinds of instance can have the least cost: the one with the least work, which the heap knows, and those that hold
 * a part of the prompt, which the prefix index knows. An instance at max_load or above is passed over while the one
 * with the least work is below it. Equal costs go to the less loaded, then to the more recently used.
 */
export function choose(model: ModelRecord, request: RequestRecord, maxLoad: number): Choice | null {
  const least = model.available.peek();
  if (least === undefined) return null;
  const { prefix } = request.facts;
  let best: Choice = { instance: least, cachedTokens: cachedTokens(model, least, request) };
  if (model.available.size === 1) return best;
  let bestCost = costOf(best, request);
  const spare = loadOf(least) < maxLoad;
  let looked = 0;
  for (let index = prefix.length - 1; index >= 0 && looked < MOST_HOLDERS; index--) {
    const mark = prefix[index];
    const holders = mark && model.prefixes.holders(mark.hash);
    if (mark === undefined || holders === undefined) continue;
    for (const instance of holders.keys()) {
      if (looked >= MOST_HOLDERS) break;
      looked += 1;
      if (instance.heapIndex < 0 || (spare && loadOf(instance) >= maxLoad)) continue;
      // Holders of a longer prefix came before, with more cached tokens; here they cannot become cheaper.
      const candidate: Choice = { instance, cachedTokens: Math.min(mark.tokens, request.facts.promptTokens) };
      const cost = costOf(candidate, request);
      if (cost < bestCost || (cost === bestCost && preferred(instance, best.instance))) {
        best = candidate;
        bestCost = cost;
      }
    }
  }
  return best;
}

function cachedTokens(model: ModelRecord, instance: InstanceRecord, request: RequestRecord): number {
  return Math.min(model.prefixes.cachedTokens(instance, request.facts.prefix), request.facts.promptTokens);
}

const costOf = (choice: Choice, request: RequestRecord): number => outstandingTokens(choice.instance) + request.facts.promptTokens - choice.cachedTokens;

function preferred(a: InstanceRecord, b: InstanceRecord): boolean {
  if (a === b) return false;
  const difference = loadOf(a) - loadOf(b);
  return difference !== 0 ? difference < 0 : a.lastUsedAt > b.lastUsedAt;
}
