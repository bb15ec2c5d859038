import type { AssistantError } from "../core/errors.ts";
import type { RequestFacts, RequestOutcome } from "../core/request.ts";
import { charge, dispatchAtOnce, OUTPUT_WEIGHT, readAtOnce, readable } from "./dispatch.ts";
import { CANCELLED } from "./lease.ts";
import { demandChanged, rejectWaiting, stopNow, unqueue } from "./lifecycle.ts";
import { NodeTarget } from "./node.ts";
import { forwardAtOnce, mayForward, nodeFinished, takesNow, unreachable } from "./nodes.ts";
import { refresh, roomChanged, unpark, vacate } from "./places.ts";
import { InstanceRecord, type ModelRecord, RequestRecord } from "./records.ts";
import { noteArrival } from "./reserve.ts";
import { arm, refusal, type Turn } from "./state.ts";
import type { Work } from "./target.ts";
import { queueRefusal, secondsOf } from "./waits.ts";

/** How long an instance whose answer was cut off gets no work: a crash is reported well within this time. */
const SUSPECT_MS = 100;

/** A prompt yields to shorter ones that arrive within this many times its prefill after it. */
const SET_BACK = 10;

export function arrived(turn: Turn, facts: RequestFacts): void {
  const { state, now } = turn;
  const model = state.models.get(facts.model);
  const refused = refusalOf(turn, model, facts);
  if (refused !== null) turn.effects.push({ type: "reject", requestId: facts.id, refusal: refused });
  if (refused !== null || model === undefined) return;
  // Requests without a slot are no indication of future work.
  if (!facts.slotless) noteArrival(model, facts.tenant, now);
  const request = new RequestRecord(facts, model, now);
  state.requests.set(facts.id, request);
  const isServed = facts.slotless
    ? readAtOnce(turn, request)
    : model.queue.size === 0 && (forwardAtOnce(turn, request) || dispatchAtOnce(turn, request));
  if (!isServed) enqueue(turn, request);
}

function enqueue(turn: Turn, request: RequestRecord): void {
  const { state } = turn;
  const { model, facts } = request;
  placeInLane(request, state.policy.shortestFirst);
  if (facts.slotless) model.waitingReads.add(request);
  model.queue.push(request);
  state.queuedByTenant.set(request.tenant, (state.queuedByTenant.get(request.tenant) ?? 0) + 1);
  if (request.deadline !== null) arm(turn, request.deadline, facts.deadlineAt ?? 0);
  state.dirty.add(model);
  if (model.queue.size === 1) demandChanged(turn, model);
}

function refusalOf(turn: Turn, model: ModelRecord | undefined, facts: RequestFacts): AssistantError | null {
  const { state, now } = turn;
  if (state.closing)
    return refusal(
      "shutting_down",
      "The daemon is stopping and takes no new requests",
      "Try again when it has restarted.",
      1,
    );
  if (model === undefined || model.removed)
    return refusal("model_not_found", `No configured model is called "${facts.model}"`);
  if (state.requests.has(facts.id)) return refusal("internal", `The request id ${facts.id} is in use`);
  if (facts.deadlineAt !== null && facts.deadlineAt <= now) return deadlineRefusal(facts, 0);
  if (!mayForward(turn, model, facts)) {
    if (model.isRemoteOnly) return unreachable(turn, model);
    const failed = model.supply.serving + model.supply.coming.length === 0 ? failureRefusal(model, now) : null;
    if (failed !== null) return failed;
  }
  // A request that can start at once is not refused because of a queue's limit.
  if (facts.slotless && readable(model) !== null) return null;
  const isTaken = model.queue.size === 0 && (model.available.size > 0 || takesNow(turn, model, facts));
  return isTaken ? null : queueRefusal(state, model, facts.tenant, now);
}

/** Null unless a start failed and the next one is not due yet. */
export function failureRefusal(model: ModelRecord, now: number): AssistantError | null {
  if (model.failure === null || model.failure.waitersStay || !model.retry.armed) return null;
  const { code, message } = model.failure;
  // A cause with a code already has a remedy.
  const remedy =
    code === "model_failed"
      ? "See the instance's log (assistant logs); the next request after the pause tries again."
      : null;
  return refusal(
    code,
    `Model "${model.name}" could not be started: ${message}`,
    remedy,
    secondsOf(model.retry.at - now),
  );
}

const deadlineRefusal = (facts: RequestFacts, waitedMs: number): AssistantError =>
  refusal(
    "deadline_exceeded",
    `The deadline of the request passed after it had waited ${waitedMs} ms for model "${facts.model}"`,
    "Allow more time, or send fewer requests at once.",
  );

export function cancelled(turn: Turn, requestId: string): void {
  const request = turn.state.requests.get(requestId);
  if (request === undefined) return;
  if (request.stage.type === "running") {
    finished(turn, requestId, CANCELLED);
    return;
  }
  unqueue(turn, request);
  turn.state.dirty.add(request.model);
  turn.state.requests.delete(requestId);
}

export function deadlinePassed(turn: Turn, request: RequestRecord): void {
  rejectWaiting(turn, request, deadlineRefusal(request.facts, turn.now - request.arrivedAt));
}

/** The prompt is done; only the answer remains. */
export function firstToken(turn: Turn, requestId: string): void {
  const work = turn.state.requests.get(requestId)?.stage;
  if (work?.type !== "running" || work.answering) return;
  work.answer(turn.now);
  if (!(work.target instanceof InstanceRecord)) return;
  refresh(turn, work.target);
  unpark(turn, work.target);
  // They wait for prompts to finish, not for slots, and that may have happened sooner than expected.
  if (work.target.model.serveDue.armed) turn.state.dirty.add(work.target.model);
}

/** Releases the slot. Does nothing for a request that is not in flight, such as one that was lost. */
export function finished(turn: Turn, requestId: string, outcome: RequestOutcome): void {
  const request = turn.state.requests.get(requestId);
  const work = request?.stage;
  if (request === undefined || work?.type !== "running") return;
  const { target } = work;
  turn.state.requests.delete(requestId);
  turn.state.served += 1;
  work.end(outcome, turn.now);
  if (target instanceof InstanceRecord) vacate(turn, target, requestId);
  // After the requests that waited for the device: they have their turn first.
  turn.state.dirty.add(request.model);
  if (target instanceof InstanceRecord) instanceFinished(turn, work, target, outcome);
  else if (target instanceof NodeTarget) nodeFinished(turn, work, target, outcome);
}

function instanceFinished(turn: Turn, work: Work, instance: InstanceRecord, outcome: RequestOutcome): void {
  instance.lastUsedAt = turn.now;
  instance.served += 1;
  if (!work.facts.slotless) {
    instance.learnFrom(work, outcome, turn.now);
    const { completionTokens } = outcome;
    if (completionTokens !== null)
      charge(turn, work, instance, work.prefilled(outcome) + OUTPUT_WEIGHT * completionTokens);
  }
  if (outcome.end === "engine-error") arm(turn, instance.suspect, turn.now + SUSPECT_MS);
  refresh(turn, instance);
  unpark(turn, instance);
  if (instance.inFlight.size > 0) return;
  // It may be evicted now.
  roomChanged(turn);
  stopNow(turn, instance);
}

/** The position of a request in its lane; see queue/lane.ts. */
function placeInLane(request: RequestRecord, shortestFirst: boolean): void {
  const { facts, model, arrivedAt } = request;
  const { maxWaitMs } = model.queue;
  request.expectedPrefill = Math.max(0, facts.promptTokens - model.prefixes.longest(facts.prefix));
  const prefillMs = model.prefillRate.msFor(request.expectedPrefill);
  request.turnAt = arrivedAt + (shortestFirst ? Math.min(maxWaitMs, SET_BACK * prefillMs) : 0);
  if (facts.deadlineAt === null) return;
  // The latest start for a complete answer in time, by the model's measured rates.
  const startBy = facts.deadlineAt - prefillMs - model.decodeRate.msFor(model.expectedCompletion(facts.maxTokens));
  // A later time is irrelevant: by then no later request goes first any more. Official clients send a timeout of
  // minutes with every request.
  if (startBy <= arrivedAt + maxWaitMs) request.startBy = startBy;
}
