import { cacheCapacity } from "./cache-capacity.ts";
import type { InstanceRecord } from "./state.ts";

/** Conversations of a model that are remembered while no instance holds them. */
const MOST_SLEEPING = 256;

/**
 * An instance has ended, and the fleet has saved so many of its conversations under these names, used last first. Which name
 * is whose is concluded from the order: the engine and the index both know what was used when.
 */
export function putToSleep(instance: InstanceRecord, names: readonly string[]): void {
  const { sleeping, prefixes } = instance.model;
  const latest = prefixes.latest(instance, names.length).reverse();
  for (const [index, conversation] of latest.entries()) sleeping.set(names[index] ?? "", conversation);
  for (const oldest of sleeping.keys()) {
    if (sleeping.size <= MOST_SLEEPING) break;
    sleeping.delete(oldest);
  }
}

/** An instance was given these conversations, used last first. They stay known: another one may be given copies. */
export function wake(instance: InstanceRecord, names: readonly string[]): void {
  const { sleeping, prefixes } = instance.model;
  const conversations = names.map((name) => sleeping.get(name)).filter((found) => found !== undefined);
  prefixes.remember(instance, conversations, cacheCapacity(instance));
}
