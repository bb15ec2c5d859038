import type { RequestFacts, RequestOutcome } from "../core/request.ts";
import { charge, dispatchAtOnce, OUTPUT_WEIGHT } from "./dispatch.ts";
import type { Refusal } from "./effects.ts";
import { vacate } from "./exclusive.ts";
import { demandChanged, rejectWaiting, stopNow, unqueue } from "./lifecycle.ts";
import { queueRefusal, secondsOf } from "./limits.ts";
import { refresh, unpark } from "./places.ts";
import { learnRate, prefillEnded, prefillGivenUp } from "./rates.ts";
import { answers, placeOf } from "./remote-cost.ts";
import { forwardAtOnce, isRemoteOnly, mayForward, remoteFinished, takesNow, unreachable } from "./remotes.ts";
import { createRequest, leastPrefillMs } from "./request-record.ts";
import { holdSlot, noteTenant } from "./reserve.ts";
import type { InstanceRecord, ModelRecord, RequestRecord } from "./state.ts";
import { learn } from "./structures/average.ts";
import { arm, refusal, type Turn } from "./turn.ts";

/** How long an instance whose answer broke off gets no work: a dead one is reported well within this. */
const SUSPECT_MS = 100;

export function arrived(turn: Turn, facts: RequestFacts): void {
  const { state, now } = turn;
  const model = state.models.get(facts.model);
  const refused = refusalOf(turn, model, facts);
  if (refused !== null || model === undefined) {
    if (refused !== null) turn.effects.push({ type: "reject", requestId: facts.id, refusal: refused });
    return;
  }
  if (model.lastArrivedAt > 0) learn(model.averages.arrivalGapMs, now - model.lastArrivedAt);
  model.lastArrivedAt = now;
  noteTenant(model, facts.tenant, now);
  const request = createRequest(turn, facts, model);
  state.requests.set(facts.id, request);
  if (model.queue.size === 0 && (forwardAtOnce(turn, request) || dispatchAtOnce(turn, request))) return;
  model.queue.push(request);
  state.queued += 1;
  state.queuedByTenant.set(request.tenant, (state.queuedByTenant.get(request.tenant) ?? 0) + 1);
  if (request.deadline !== null) arm(turn, request.deadline, Math.max(now, (facts.deadlineAt ?? 0) - leastPrefillMs(request)));
  state.dirty.add(model);
  if (model.queue.size === 1) demandChanged(turn, model);
}

function refusalOf(turn: Turn, model: ModelRecord | undefined, facts: RequestFacts): Refusal | null {
  const { state, now } = turn;
  if (state.closing) return refusal("shutting_down", "The daemon is stopping and takes no new requests", "Try again when it has started again.", 1);
  if (model === undefined || model.removed) return refusal("model_not_found", `No configured model is called "${facts.model}"`);
  if (state.requests.has(facts.id)) return refusal("internal", `The request id ${facts.id} is in use`);
  if (facts.deadlineAt !== null && facts.deadlineAt <= now) return deadlineRefusal(facts, 0);
  if (!mayForward(turn, facts)) {
    if (isRemoteOnly(model)) return unreachable(turn, model);
    const failed = model.serving + model.coming.size === 0 ? failureRefusal(model, now) : null;
    if (failed !== null) return failed;
  }
  // A request that needs not wait is not kept out by a queue's limit.
  return model.queue.size === 0 && (model.available.size > 0 || takesNow(turn, model, facts)) ? null : queueRefusal(state, model, facts.tenant, now);
}

/** Null unless a start failed and the next one is not due yet. */
export function failureRefusal(model: ModelRecord, now: number): Refusal | null {
  if (model.failure === null || model.failure.waitersStay || model.retry.heapIndex < 0) return null;
  const { code, message } = model.failure;
  const seconds = secondsOf(model.retry.at - now);
  // A cause with a code of its own says what to do about it already.
  if (code !== "model_failed") return refusal(code, `Model "${model.name}" could not be started: ${message}`, null, seconds);
  return refusal(
    code,
    `Model "${model.name}" could not be started: ${message}`,
    "See the instance's log (assistant logs); the next request after the pause tries again.",
    seconds,
  );
}

export const deadlineRefusal = (facts: RequestFacts, waitedMs: number): Refusal =>
  refusal(
    "deadline_exceeded",
    `The deadline of the request passed after it had waited ${waitedMs} ms for model "${facts.model}"`,
    "Allow more time, or send fewer requests at once.",
  );

export function cancelled(turn: Turn, requestId: string): void {
  const request = turn.state.requests.get(requestId);
  if (request === undefined) return;
  if (request.instance !== null || request.remote !== null) {
    finished(turn, requestId, { end: "cancelled", promptTokens: null, cachedTokens: null, completionTokens: null, promptMs: null, completionMs: null });
    return;
  }
  unqueue(turn, request);
  turn.state.requests.delete(requestId);
}

export function deadlinePassed(turn: Turn, request: RequestRecord): void {
  rejectWaiting(turn, request, deadlineRefusal(request.facts, turn.now - request.arrivedAt));
}

/** The prompt is worked off; what is left is the answer. */
export function firstToken(turn: Turn, requestId: string): void {
  const request = turn.state.requests.get(requestId);
  if (request === undefined || request.answering) return;
  if (request.remote !== null) answers(placeOf(request.remote, request.model), request, turn.now);
  if (request.instance === null) return;
  request.answering = true;
  request.instance.prefillTokens -= request.prefillTokens;
  request.prefillTokens = 0;
  prefillEnded(request.instance, request, turn.now);
  refresh(turn, request.instance);
  unpark(turn, request.instance);
  // They wait for prompts to be worked off, not for slots; it may have come to that sooner than expected.
  if (request.model.serveDue.heapIndex >= 0) turn.state.dirty.add(request.model);
}

/** The slot is free. Nothing happens for a request that is not in flight, such as one that was lost. */
export function finished(turn: Turn, requestId: string, outcome: RequestOutcome): void {
  const request = turn.state.requests.get(requestId);
  if (request?.remote) {
    remoteFinished(turn, request, request.remote, outcome);
    return;
  }
  const instance = request?.instance;
  if (!request || !instance) return;
  turn.state.requests.delete(requestId);
  instance.inFlight.remove(request);
  holdSlot(instance, request, -1);
  // An answer that came in one piece: its prompt was done when its first token was, long before its first byte.
  if (!request.answering && outcome.end === "complete") prefillEnded(instance, request, turn.now - (outcome.completionMs ?? 0));
  else if (!request.answering) prefillGivenUp(instance, request, turn.now);
  instance.prefillTokens -= request.prefillTokens;
  instance.decodeTokens -= request.decodeTokens;
  // Sums of fractions leave a rest that would grow over a million requests.
  if (instance.inFlight.size === 0) {
    instance.prefillTokens = 0;
    instance.decodeTokens = 0;
  }
  vacate(turn, instance, request);
  instance.lastUsedAt = turn.now;
  instance.served += 1;
  turn.state.served += 1;
  learnFrom(turn, request, instance, outcome);
  if (outcome.end === "engine-error") arm(turn, instance.suspect, turn.now + SUSPECT_MS);
  turn.state.dirty.add(request.model);
  refresh(turn, instance);
  unpark(turn, instance);
  if (instance.leaving !== null && instance.inFlight.size === 0) stopNow(turn, instance);
}

function learnFrom(turn: Turn, request: RequestRecord, instance: InstanceRecord, outcome: RequestOutcome): void {
  const { model, facts } = request;
  const { averages } = model;
  learn(averages.holdMs, turn.now - request.dispatchedAt);
  const prefilled = outcome.promptTokens === null ? null : outcome.promptTokens - (outcome.cachedTokens ?? 0);
  if (prefilled !== null && outcome.promptMs !== null) instance.prefillMeter.add(prefilled, outcome.promptMs, turn.now - (outcome.completionMs ?? 0));
  if (prefilled !== null && outcome.promptMs !== null) {
    // Prompts that were before it are in the engine's figure, but not in its work on this one.
    const ms = request.prefillMs ? Math.min(outcome.promptMs, request.prefillMs) : outcome.promptMs;
    for (const rate of [instance.prefillRate, model.prefillRate]) learnRate(rate, prefilled, ms);
  }
  if (outcome.completionTokens !== null) {
    if (outcome.completionMs !== null) instance.decodeMeter.add(outcome.completionTokens, outcome.completionMs, turn.now);
    if (outcome.completionMs !== null)
      for (const rate of [instance.decodeRate, model.decodeRate]) learnRate(rate, outcome.completionTokens, outcome.completionMs);
    charge(turn, request, instance, (prefilled ?? facts.promptTokens - request.promisedTokens) + OUTPUT_WEIGHT * outcome.completionTokens);
    if (outcome.end === "complete") {
      learn(averages.completionTokens, outcome.completionTokens);
      learn(averages.workTokens, (prefilled ?? facts.promptTokens - request.promisedTokens) + outcome.completionTokens);
    }
  }
  const tip = facts.prefix[facts.prefix.length - 1];
  if (tip === undefined) return;
  model.prefixes.reported(instance, tip.hash, request.previousTurn, outcome.promptTokens, outcome.cachedTokens);
  // A prompt that was given up, or that broke the engine, is not in the cache.
  if (outcome.end !== "complete" && !request.answering) model.prefixes.forget(instance, tip.hash);
}
