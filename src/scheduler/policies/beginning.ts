import { cacheCapacity } from "../cache-capacity.ts";
import type { InstanceRecord, ModelRecord, RequestRecord } from "../records.ts";

/** A conversation that begins: no instance holds its last turn. */
export interface Beginning {
  /** Tokens of its prompt that two conversations or more have begun with. */
  readonly commonTokens: number;
  /** Tokens of conversations on the instance that holds most. */
  readonly mostHeld: number;
}

/** Null where the request goes on with a conversation that an instance holds: that has its place. */
export function beginningOf(model: ModelRecord, { facts }: RequestRecord, instances: readonly { readonly instance: InstanceRecord }[]): Beginning | null {
  let mostHeld = 0;
  for (const { instance } of instances) mostHeld = Math.max(mostHeld, instance.prefixes.tokens);
  let longest = true;
  for (let index = facts.prefix.length - 1; index >= 0; index--) {
    const mark = facts.prefix[index];
    const holders = mark && model.prefixes.holders(mark.hash);
    if (mark === undefined || holders === undefined) continue;
    if (longest && holders.tips > 0) return null;
    longest = false;
    // What one conversation alone has begun with may be its own: a prompt without messages has no other sign of going on.
    if (holders.conversations > 1) return { commonTokens: Math.min(mark.tokens, facts.promptTokens), mostHeld };
  }
  return { commonTokens: 0, mostHeld };
}

/**
 * Tokens of a common beginning that are not lost when the instance computes them: it will need them for its part of the
 * conversations to come, and while its cache has room they push nothing out. At most as many as it holds less than others.
 */
export function investedTokens({ commonTokens, mostHeld }: Beginning, instance: InstanceRecord, cachedTokens: number): number {
  const held = instance.prefixes.tokens;
  const roomShare = Math.max(0, 1 - held / Math.max(1, cacheCapacity(instance)));
  return roomShare * Math.max(0, Math.min(commonTokens - cachedTokens, mostHeld - held));
}

/** A conversation that begins will come back, and finds those there that live there: its own tokens count the more, the more the instance holds. */
export function crowdingTokens({ commonTokens, mostHeld }: Beginning, instance: InstanceRecord, promptTokens: number): number {
  return mostHeld === 0 ? 0 : ((promptTokens - commonTokens) * instance.prefixes.tokens) / mostHeld;
}
