import { cacheCapacity } from "./cache-capacity.ts";
import { claim, occupy } from "./exclusive.ts";
import { unqueue } from "./lifecycle.ts";
import { drainMs } from "./limits.ts";
import { expectedCompletion } from "./load.ts";
import { refresh } from "./places.ts";
import { modelPrefillPerMs, prefillBegins } from "./rates.ts";
import { holdSlot, isReserved } from "./reserve.ts";
import type { InstanceRecord, ModelRecord, RequestRecord } from "./state.ts";
import { arm, disarm, type Turn } from "./turn.ts";

/** A token of an answer takes more than one of a prompt: a counter of virtual tokens weighs it so. */
export const OUTPUT_WEIGHT = 2;
/** Requests of one decision that may be told to wait for an instance; more are looked at a moment later. */
const MOST_PARKED_AT_ONCE = 8;

/** Gives waiting requests the slots that are free, in the queue's order and where the policy says. */
export function serve(turn: Turn, model: ModelRecord): void {
  const { state, now } = turn;
  disarm(turn, model.serveDue);
  if (state.exclusiveModels > 0) claim(turn, model);
  model.queue.drainMs = drainMs(model);
  for (let parked = 0; model.available.size > 0; ) {
    const overdue = model.queue.overdue(now);
    let request = overdue ?? model.queue.peek(now);
    if (overdue === null && request !== null && isReserved(model, request, now)) {
      // More than half of the slots are one tenant's at most: no other is kept out.
      request = model.queue.peekBeside(request.tenant, now);
      if (request === null) arm(turn, model.serveDue, model.othersUntil);
    }
    if (request === null) return;
    const routing = state.policy.route(model, request, now, state.settings.maxLoad, overdue !== null);
    if (routing.type === "hold") {
      arm(turn, model.serveDue, routing.untilMs);
      return;
    }
    if (routing.type === "wait-for") {
      park(turn, request, routing.instance, routing.untilMs);
      parked += 1;
      if (parked < MOST_PARKED_AT_ONCE) continue;
      arm(turn, model.serveDue, now + 1);
      return;
    }
    model.queue.served(request, now);
    unqueue(turn, request);
    dispatch(turn, request, routing.instance, routing.cachedTokens);
  }
}

/** For a request that nobody is before. False: it has to wait. */
export function dispatchAtOnce(turn: Turn, request: RequestRecord): boolean {
  if (request.model.available.size === 0 || isReserved(request.model, request, turn.now)) return false;
  const routing = turn.state.policy.route(request.model, request, turn.now, turn.state.settings.maxLoad, false);
  if (routing.type !== "dispatch") return false;
  dispatch(turn, request, routing.instance, routing.cachedTokens);
  return true;
}

function dispatch(turn: Turn, request: RequestRecord, instance: InstanceRecord, cachedTokens: number): void {
  const { state, now } = turn;
  const { model, facts } = request;
  request.instance = instance;
  request.dispatchedAt = now;
  request.promisedTokens = cachedTokens;
  request.prefillTokens = facts.promptTokens - cachedTokens;
  request.decodeTokens = expectedCompletion(model, facts.maxTokens);
  request.previousTurn = model.prefixes.begin(instance, facts.prefix, facts.promptTokens + request.decodeTokens, cacheCapacity(instance));
  instance.inFlight.add(request);
  holdSlot(instance, request, 1);
  state.dispatches += 1;
  instance.lastDispatch = state.dispatches;
  instance.prefillTokens += request.prefillTokens;
  instance.decodeTokens += request.decodeTokens;
  prefillBegins(instance, request, now);
  charge(turn, request, instance, request.prefillTokens + OUTPUT_WEIGHT * request.decodeTokens);
  occupy(turn, instance, request);
  refresh(turn, instance);
  turn.effects.push({ type: "dispatch", requestId: facts.id, instanceId: instance.id, queuedMs: now - request.arrivedAt });
}

/**
 * Counts what the tenant got; `tokens` is all that this request is taken to be worth now. Models on one device have one
 * account, in which a token counts for the time that one of the model's prompt takes: a small model's are cheap.
 */
export function charge({ state }: Turn, request: RequestRecord, instance: InstanceRecord, tokens: number): void {
  const work = tokens / modelPrefillPerMs(instance);
  request.model.queue.charge(request.tenant, (work - request.charged) / (state.settings.tenantWeights.get(request.tenant) ?? 1));
  request.charged = work;
}

/** The request waits for an instance that holds its beginning, until something happens there or `untilMs`. */
function park(turn: Turn, request: RequestRecord, instance: InstanceRecord, untilMs: number): void {
  request.model.queue.park(request);
  request.parkedOn = instance;
  instance.parked.add(request);
  if (instance.parkedDue.heapIndex < 0 || instance.parkedDue.at > untilMs) arm(turn, instance.parkedDue, untilMs);
}
