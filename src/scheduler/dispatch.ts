import { grant, unqueue } from "./lifecycle.ts";
import { forward } from "./nodes.ts";
import { claim, occupy, refresh } from "./places.ts";
import type { InstanceRecord, ModelRecord, RequestRecord } from "./records.ts";
import { isReserved } from "./reserve.ts";
import { arm, disarm, type Turn } from "./state.ts";
import { Work } from "./target.ts";

/** Weight of an answer's token in the fairness counters, relative to a prompt's: it takes longer. */
export const OUTPUT_WEIGHT = 2;
/** Limits the duration of one decision; a tick follows at once for the rest. */
const MAX_DISPATCHED_AT_ONCE = 2;
/** Requests that one decision may park for an instance; the rest are considered a moment later. */
const MAX_PARKED_AT_ONCE = 2;

/** Gives free slots to waiting requests, in the queue's order and as the policy decides. */
export function serve(turn: Turn, model: ModelRecord): void {
  const { state, now } = turn;
  disarm(turn, model.serveDue);
  if (state.hasExclusive) claim(turn, model);
  model.queue.drainMs = model.drainMs;
  if (model.waitingReads.size > 0 && readable(model) !== null) {
    for (const request of [...model.waitingReads]) {
      unqueue(turn, request);
      readAtOnce(turn, request);
    }
  }
  let parked = 0;
  for (let dispatched = 0; model.available.size > 0; ) {
    const overdue = model.queue.overdue(now);
    let request = overdue ?? model.queue.peek(now);
    if (overdue === null && request !== null && isReserved(model, request, now)) {
      // If one tenant holds more than half of the slots, no other one is kept out.
      request = model.queue.peekBeside(request.tenant, now);
      if (request === null) arm(turn, model.serveDue, model.othersUntil);
    }
    if (request === null) return;
    const routing = state.policy.route(model, request, now, overdue !== null);
    if (routing.type === "hold") {
      arm(turn, model.serveDue, routing.untilMs);
      return;
    }
    if (routing.type === "wait-for") {
      park(turn, request, routing.instance, routing.untilMs);
      parked += 1;
      if (parked < MAX_PARKED_AT_ONCE) continue;
      arm(turn, model.serveDue, now + 1);
      return;
    }
    model.queue.served(request, now);
    unqueue(turn, request);
    dispatch(turn, request, routing.instance, routing.cachedTokens);
    dispatched += 1;
    if (dispatched < MAX_DISPATCHED_AT_ONCE || model.queue.size === 0) continue;
    arm(turn, model.serveDue, now);
    return;
  }
}

/** The next tick serves the rest of the queue; only then is it known what it lacks. */
export const isUnfinished = ({ serveDue }: ModelRecord, now: number): boolean => serveDue.armed && serveDue.at <= now;

/** For a request with an empty queue. False: it has to wait. */
export function dispatchAtOnce(turn: Turn, request: RequestRecord): boolean {
  const { model } = request;
  if (model.available.size === 0 || isReserved(model, request, turn.now)) return false;
  const routing = turn.state.policy.route(model, request, turn.now, false);
  if (routing.type !== "dispatch") return false;
  dispatch(turn, request, routing.instance, routing.cachedTokens);
  return true;
}

function dispatch(turn: Turn, request: RequestRecord, instance: InstanceRecord, cachedTokens: number): void {
  const { state, now } = turn;
  const { facts, model } = request;
  const work = new Work(instance, facts, cachedTokens, model.expectedCompletion(facts.maxTokens), now);
  state.dispatches += 1;
  instance.lastDispatch = state.dispatches;
  charge(turn, work, instance, work.prefillTokens + OUTPUT_WEIGHT * work.decodeTokens);
  occupy(turn, instance, facts.id);
  refresh(turn, instance);
  grant(turn, request, work);
}

/**
 * Charges the tenant; `tokens` is the estimate for this request so far. Models on one device share an account, in which
 * a token counts as the time of one of the model's prompt tokens: those of a small model are cheap.
 */
export function charge({ state }: Turn, work: Work, instance: InstanceRecord, tokens: number): void {
  const { tenant } = work.facts;
  const units = tokens / instance.similarPerMs;
  instance.model.queue.charge(tenant, (units - work.charged) / (state.settings.tenantWeights.get(tenant) ?? 1));
  work.charged = units;
}

/** The request waits for an instance that has its prefix cached, until an event there or `untilMs`. */
function park(turn: Turn, request: RequestRecord, instance: InstanceRecord, untilMs: number): void {
  request.model.queue.park(request);
  request.stage = { type: "parked", on: instance };
  instance.parked.add(request);
  if (!instance.parkedDue.armed || instance.parkedDue.at > untilMs) arm(turn, instance.parkedDue, untilMs);
}

/**
 * The instance that answers requests without a slot, such as counting tokens: any that is ready, busy or not. Null:
 * there is none.
 */
export function readable({ instances }: ModelRecord): InstanceRecord | null {
  let found: InstanceRecord | null = null;
  for (const instance of instances)
    if (instance.life.phase === "ready" && !instance.suspect.armed && (found === null || instance.reads < found.reads))
      found = instance;
  return found;
}

/** Sends a request without a slot to a ready instance. False: it waits until there is one. */
export function readAtOnce(turn: Turn, request: RequestRecord): boolean {
  const { model, facts } = request;
  const instance = readable(model);
  if (instance === null) return model.isRemoteOnly && forward(turn, request);
  grant(turn, request, new Work(instance, facts, 0, 0, turn.now));
  refresh(turn, instance);
  return true;
}
