import { configured } from "./configure.ts";
import type { Effect, SchedulerEvent } from "./events.ts";
import { isEvictable } from "./eviction.ts";
import { orderUnanswered, transitioned } from "./fleet-events.ts";
import { leave, rejectAll, remove, stopNow } from "./lifecycle.ts";
import { devicesMeasured, lookAgain } from "./memory.ts";
import { kept, operated } from "./operate.ts";
import { place } from "./placement.ts";
import { refresh, unpark } from "./places.ts";
import type { InstanceRecord, ModelRecord } from "./records.ts";
import { remotesChanged } from "./remotes.ts";
import { arrived, cancelled, deadlinePassed, finished, firstToken } from "./requests.ts";
import { informed, preload, settle } from "./scaling.ts";
import { arm, refusal, type SchedulerState, type Turn } from "./state.ts";
import { noticeArrival } from "./waits.ts";

const IDLE_RECHECK_MS = 60_000;

/**
 * Decides the consequences of one event. Pure except that it modifies the state it is given, which nothing else does.
 * Equal states and events give equal effects; time is passed as `now` (epoch milliseconds) and never goes back. The
 * caller carries out the effects, in order, before it decides the next event.
 */
export function decide(state: SchedulerState, event: SchedulerEvent, now: number): Effect[] {
  const turn: Turn = { state, now, effects: [] };
  const handle: (turn: Turn, event: never) => void = handlers[event.type];
  handle(turn, event as never);
  settle(turn);
  if (event.type === "arrived") {
    const request = state.requests.get(event.facts.id);
    if (request !== undefined && request.lane !== null && request.facts === event.facts) noticeArrival(turn, request);
  }
  return turn.effects;
}

/** The direct consequences of each kind of event. */
const handlers: {
  readonly [Type in SchedulerEvent["type"]]: (turn: Turn, event: Extract<SchedulerEvent, { type: Type }>) => void;
} = {
  arrived: (turn, { facts }) => arrived(turn, facts),
  cancelled: (turn, { requestId }) => cancelled(turn, requestId),
  "first-token": (turn, { requestId }) => firstToken(turn, requestId),
  finished: (turn, { requestId, outcome }) => finished(turn, requestId, outcome),
  instance: (turn, { event }) => transitioned(turn, event),
  tick,
  devices: (turn, { devices, use }) => {
    devicesMeasured(turn, devices, use);
    informed(turn);
  },
  configured: (turn, { config }) => {
    configured(turn, config);
    informed(turn);
  },
  operate: (turn, { operation, target }) => operated(turn, operation, target),
  kept: (turn, { model, idleTtlMs }) => kept(turn, model, idleTtlMs),
  remotes: (turn, { change }) => remotesChanged(turn, change),
  closing,
};

/**
 * Handles one thing that is due. Each has its own conclusions and effects: handling ten models at once would delay the
 * first until the last is done.
 */
function tick(turn: Turn): void {
  const { state } = turn;
  const due = state.dues.peek();
  if (due === undefined || due.at > turn.now) return;
  state.dues.remove(due);
  const { what } = due;
  const model = what.type === "pause" ? state.models.get(what.name) : "model" in what ? what.model : undefined;
  if (model !== undefined) state.dirty.add(model);
  if (what.type === "deadline") deadlinePassed(turn, what.request);
  else if (what.type === "idle") idleLongEnough(turn, what.instance);
  else if (what.type === "parked") unpark(turn, what.instance);
  else if (what.type === "phase") phaseOverdue(turn, what.instance);
  else if (what.type === "retry") retry(turn, what.model);
  else if (what.type === "room") what.model.placement = null;
  else if (what.type === "suspect") {
    state.dirty.add(what.instance.model);
    refresh(turn, what.instance);
  }
}

function idleLongEnough(turn: Turn, instance: InstanceRecord): void {
  const { model } = instance;
  if (!isEvictable(instance)) return;
  // The minimum stays for the next request; it is checked again in case another instance becomes ready meanwhile.
  if (model.supply.future <= (model.spec.replicasMin ?? 0))
    arm(turn, instance.idle, turn.now + (model.idleTtlMs ?? 0) + IDLE_RECHECK_MS);
  else leave(turn, instance, "idle");
}

/**
 * The pause after a failure is over. Waiting requests start the model themselves; this is for preloaded and pinned
 * models.
 */
function retry(turn: Turn, model: ModelRecord): void {
  if (model.removed || turn.state.closing || model.queue.size > 0) return;
  if (model.wantedInstances > 0) preload(turn, model, model.wantedInstances);
  else if (model.failure?.waitersStay && model.supply.future === 0) place(turn, model, "restart", false);
}

function phaseOverdue(turn: Turn, instance: InstanceRecord): void {
  const { phase } = instance.life;
  if (phase === "planned") {
    // Other programs took the memory first: the request is placed again with the current figures.
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
    "Try again when it has restarted.",
    1,
  );
  for (const model of state.models.values()) rejectAll(turn, model, refused);
  for (const instance of [...state.plans]) remove(turn, instance);
}
