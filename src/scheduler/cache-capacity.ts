import type { InstanceRecord } from "./records.ts";

/** Tokens of conversations that the instance keeps, in its slots and in the host memory that it was granted. */
export function cacheCapacity({ model, slots, contextTokens, hostCacheMib }: InstanceRecord): number {
  const inSlots = slots * contextTokens;
  if (model.cacheTokens === null) return inSlots;
  const wanted = model.spec.load.hostCacheMib;
  return inSlots + Math.floor(Math.max(0, model.cacheTokens - inSlots) * (wanted > 0 ? hostCacheMib / wanted : 1));
}
