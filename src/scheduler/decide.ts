import { configured } from "./configure.ts";
import type { Effect, SchedulerEvent } from "./events.ts";
import { isEvictable } from "./eviction.ts";
import { orderUnanswered, transitioned } from "./fleet-events.ts";
import { leave, rejectAll, remove, stopNow } from "./lifecycle.ts";
import { devicesMeasured, lookAgain } from "./memory.ts";
import { remotesChanged } from "./nodes.ts";
import { noticeArrival } from "./notices.ts";
import { kept, operated } from "./operate.ts";
import { place } from "./placement.ts";
import { refresh, unpark } from "./places.ts";
import type { InstanceRecord, ModelRecord } from "./records.ts";
import { arrived, cancelled, deadlinePassed, finished, firstToken } from "./requests.ts";
import { informed, preload, settle } from "./scaling.ts";
import { type Occasion, type SchedulerState, arm, refusal, type Turn } from "./state.ts";

const IDLE_RECHECK_MS = 60_000;

/**
 * Decides what follows from one event. Pure in all but one thing: it changes the state it is given, and nobody else
 * does. Equal states and events give equal effects; time comes in as `now` (epoch milliseconds) and never goes back.
 * The caller carries out the effects, in order, before it decides the next event.
 */
export function decide(state: SchedulerState, event: SchedulerEvent, now: number): Effect[] {
  const turn: Turn = { state, now, effects: [] };
  apply(turn, event);
  settle(turn);
  if (event.type === "arrived") {
    const request = state.requests.get(event.facts.id);
    if (request !== undefined && request.lane !== null && request.facts === event.facts) noticeArrival(turn, request);
  }
  return turn.effects;
}

function apply(turn: Turn, event: SchedulerEvent): void {
  switch (event.type) {
    case "arrived":
      arrived(turn, event.facts);
      break;
    case "cancelled":
      cancelled(turn, event.requestId);
      break;
    case "first-token":
      firstToken(turn, event.requestId);
      break;
    case "finished":
      finished(turn, event.requestId, event.outcome);
      break;
    case "instance":
      transitioned(turn, event.event);
      break;
    case "tick":
      tick(turn);
      break;
    case "devices":
      devicesMeasured(turn, event.devices, event.use);
      informed(turn);
      break;
    case "configured":
      configured(turn, event.config);
      informed(turn);
      break;
    case "operate":
      operated(turn, event.operation, event.target);
      break;
    case "kept":
      kept(turn, event.model, event.idleTtlMs);
      break;
    case "remotes":
      remotesChanged(turn, event.change);
      break;
    case "closing":
      closing(turn);
      break;
  }
}

/** One thing that is due. Each has its own conclusions and effects: ten models that came due together would hold all of them up to the last. */
function tick(turn: Turn): void {
  const { dues } = turn.state;
  const due = dues.peek();
  if (due === undefined || due.at > turn.now) return;
  dues.remove(due);
  cameDue(turn, due.what);
}

function cameDue(turn: Turn, what: Occasion): void {
  switch (what.type) {
    case "deadline":
      deadlinePassed(turn, what.request);
      break;
    case "idle":
      idleLongEnough(turn, what.instance);
      break;
    case "suspect":
      turn.state.dirty.add(what.instance.model);
      refresh(turn, what.instance);
      break;
    case "parked":
      unpark(turn, what.instance);
      break;
    case "room":
      what.model.placement = null;
      turn.state.dirty.add(what.model);
      break;
    case "serve":
    case "pause":
      turn.state.dirty.add(what.model);
      break;
    case "retry":
      retry(turn, what.model);
      break;
    case "phase":
      phaseOverdue(turn, what.instance);
      break;
  }
}

function idleLongEnough(turn: Turn, instance: InstanceRecord): void {
  const { model } = instance;
  if (!isEvictable(instance)) return;
  // The last ones stay for the next request; it is looked at again in case another one comes up meanwhile.
  if (model.supply.future <= (model.spec.replicasMin ?? 0))
    arm(turn, instance.idle, turn.now + (model.idleTtlMs ?? 0) + IDLE_RECHECK_MS);
  else leave(turn, instance, "idle");
}

/** The pause after a failure is over. Waiting requests start the model by themselves; this is for who else wants it. */
function retry(turn: Turn, model: ModelRecord): void {
  turn.state.dirty.add(model);
  if (model.removed || turn.state.closing || model.queue.size > 0) return;
  if (model.wantedInstances > 0) preload(turn, model, model.wantedInstances);
  else if (model.failure?.waitersStay && model.supply.future === 0) place(turn, model, "restart", false);
}

function phaseOverdue(turn: Turn, instance: InstanceRecord): void {
  const { phase } = instance.life;
  if (phase === "planned") {
    // Others were quicker with the memory: who waits is placed anew, by what is known now.
    if (!lookAgain(turn, instance)) remove(turn, instance);
  } else if (phase === "leaving") stopNow(turn, instance);
  else if (phase === "ordered" || phase === "starting") orderUnanswered(turn, instance);
}

function closing(turn: Turn): void {
  const { state } = turn;
  state.closing = true;
  const refused = refusal(
    "shutting_down",
    "The daemon is stopping; the request had not begun",
    "Try again when it has started again.",
    1,
  );
  for (const model of state.models.values()) rejectAll(turn, model, refused);
  for (const instance of [...state.plans]) remove(turn, instance);
}
