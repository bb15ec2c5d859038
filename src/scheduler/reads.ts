import { readElsewhere } from "./nodes.ts";
import { refresh } from "./places.ts";
import type { InstanceRecord, ModelRecord, RequestRecord } from "./records.ts";
import type { Turn } from "./state.ts";
import { Work } from "./target.ts";

/** The instance that answers what takes no slot, such as how many tokens a text has: any that is up, busy or not. Null: there is none. */
export function readable({ instances }: ModelRecord): InstanceRecord | null {
  let found: InstanceRecord | null = null;
  for (const instance of instances)
    if (instance.life.phase === "ready" && !instance.suspect.armed && (found === null || instance.reads < found.reads))
      found = instance;
  return found;
}

/** Sends a request that takes no slot to whoever is up. False: it waits until somebody is. */
export function readAtOnce(turn: Turn, request: RequestRecord): boolean {
  const { model, facts } = request;
  const instance = readable(model);
  if (instance === null) return model.isRemoteOnly && readElsewhere(turn, request);
  request.stage = new Work(instance, facts, 0, 0, turn.now);
  refresh(turn, instance);
  turn.effects.push({
    type: "dispatch",
    requestId: facts.id,
    targetId: instance.id,
    queuedMs: turn.now - request.arrivedAt,
  });
  return true;
}
