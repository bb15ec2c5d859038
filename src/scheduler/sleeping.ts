import type { InstanceRecord } from "./state.ts";

/** Conversations of a model that are remembered while no instance holds them. */
const MOST_SLEEPING = 256;

/** The fleet saves what is in the slots of an instance that makes room or was idle. Whether it could is told by the next start. */
export function putToSleep(instance: InstanceRecord): void {
  const { model, leaving, slots } = instance;
  if (leaving !== "idle" && leaving !== "evicted") return;
  model.sleeping = [...model.sleeping, ...model.prefixes.latest(instance, slots)].slice(-MOST_SLEEPING);
}

/** An instance has started with so many of the conversations that were saved last. None: nothing of what was saved fits any more. */
export function wake(instance: InstanceRecord, count: number): void {
  const { model } = instance;
  const from = Math.max(0, model.sleeping.length - count);
  const capacity = model.cacheTokens ?? instance.slots * instance.contextTokens;
  for (const { marks, tokens } of model.sleeping.slice(from)) model.prefixes.touch(instance, marks, tokens, capacity);
  model.sleeping = count === 0 ? [] : model.sleeping.slice(0, from);
}
