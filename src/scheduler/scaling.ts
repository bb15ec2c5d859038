import type { AssistantError } from "../core/errors.ts";
import { isUnfinished, serve } from "./dispatch.ts";
import { lookAgainAt, surplus } from "./eviction.ts";
import { hasThread, lendThreads } from "./grants.ts";
import { leave, order, remove } from "./lifecycle.ts";
import { hasMemory } from "./memory.ts";
import { giveUp, overflow, unreachable } from "./nodes.ts";
import { hopeless, place } from "./placement.ts";
import type { InstanceRecord, ModelRecord } from "./records.ts";
import { failureRefusal } from "./requests.ts";
import { arm, disarm, refusal, type Turn } from "./state.ts";
import { expectedWaitMs, noticeQueue, waitEstimate } from "./waits.ts";

const DRAINED_RETRY_S = 10;

/**
 * Draws the conclusions of what an event changed: free slots go to waiting requests, models with waiting requests get
 * instances, and free room goes to models waiting for it. Every handler marks what it changed; this runs once at the
 * end.
 */
export function settle(turn: Turn): void {
  const touched: ModelRecord[] = [];
  do {
    touched.length = 0;
    settleHere(turn, touched);
    // Last, so that local starts are ordered before other nodes take the waiting requests.
    for (const model of touched) overflow(turn, model);
  } while (turn.state.dirty.size > 0);
  for (const device of turn.state.lending) lendThreads(turn, device);
  turn.state.lending.clear();
}

function settleHere(turn: Turn, touched: ModelRecord[]): void {
  const { state } = turn;
  while (state.dirty.size > 0 || state.roomChanged) {
    for (const model of state.dirty) {
      state.dirty.delete(model);
      serve(turn, model);
      if (isUnfinished(model, turn.now)) continue;
      ensureInstances(turn, model);
      noticeQueue(turn, model);
      if (model.nodes.size > 0 && !touched.includes(model)) touched.push(model);
    }
    if (!state.roomChanged) continue;
    state.roomChanged = false;
    for (const instance of surplus(state)) leave(turn, instance, "evicted");
    for (const instance of state.plans) {
      if (hasRoom(turn, instance)) order(turn, instance);
      else if (instance.purpose !== "demand") state.dirty.add(instance.model);
    }
    for (const model of byUrgency(state.blocked)) ensureInstances(turn, model);
  }
}

/** Starts what the waiting requests of a model need, if there is room, and drops plans that are no longer needed. */
function ensureInstances(turn: Turn, model: ModelRecord): void {
  const { state } = turn;
  if (model.queue.size === 0 || model.removed || state.closing) {
    state.blocked.delete(model);
    disarm(turn, model.roomDue);
    for (const instance of model.supply.coming)
      if (instance.life.phase === "planned" && instance.purpose === "demand") remove(turn, instance);
    return;
  }
  if (model.isRemoteOnly || state.settings.isDrained) {
    giveUp(turn, model, () => (model.isRemoteOnly ? unreachable(turn, model) : drained(model)));
    return;
  }
  // A restart without waiting requests has made no room for itself. Now that there are some, it is a start like any
  // other.
  for (const instance of model.supply.coming)
    if (instance.life.phase === "planned" && instance.purpose !== "demand" && !hasRoom(turn, instance))
      remove(turn, instance);
  // Single flight: while one instance is starting, no second is started.
  if (model.supply.coming.length > 0) return;
  if (model.retry.armed) {
    const refused = model.supply.serving === 0 ? failureRefusal(model, turn.now) : null;
    if (refused !== null) giveUp(turn, model, () => refused);
    return;
  }
  const growth = model.supply.serving > 0;
  if (model.supply.future >= model.replicas && model.eligible.length > 0) return;
  if (growth && !isSaturated(turn, model) && !isBacklogged(turn, model)) return;
  const known = model.placement;
  if (known !== null && known.epoch === state.roomEpoch && known.growth === growth) {
    if (known.refusal === null) state.blocked.add(model);
    else giveUp(turn, model, () => known.refusal as AssistantError);
    return;
  }
  seekRoom(turn, model, growth);
}

const drained = (model: ModelRecord): AssistantError =>
  refusal(
    "node_unavailable",
    `This machine is drained, and no other one accepts requests for model "${model.name}" now`,
    "Use another machine, or return this one to service: `assistant node uncordon`.",
    DRAINED_RETRY_S,
  );

function seekRoom(turn: Turn, model: ModelRecord, growth: boolean): void {
  const { state } = turn;
  if (place(turn, model, "demand", !growth)) {
    state.blocked.delete(model);
    model.placement = null;
    return;
  }
  if (state.uninformed.has(model)) {
    state.blocked.add(model);
    return;
  }
  const at = growth ? null : lookAgainAt(turn, model);
  if (at !== null) arm(turn, model.roomDue, at);
  const refused: AssistantError | null = growth ? null : hopeless(turn, model);
  model.placement = { epoch: state.roomEpoch, growth, refusal: refused };
  if (refused === null) state.blocked.add(model);
  else giveUp(turn, model, () => refused);
}

/** The last waiting request would wait longer than a load takes. */
function isBacklogged(turn: Turn, model: ModelRecord): boolean {
  const { loadMs } = model;
  const wait = expectedWaitMs(waitEstimate(model, turn.now), model.queue.size);
  return loadMs.value !== null && wait !== null && wait > loadMs.value;
}

/** Requests are waiting, and no ready instance is below max_load. */
function isSaturated(turn: Turn, model: ModelRecord): boolean {
  for (const instance of model.instances) {
    if (instance.life.phase === "ready" && instance.load < turn.state.settings.maxLoad) return false;
  }
  return true;
}

/**
 * Whether a planned instance can start now: its place and its memory are actually free, and the victims have exited.
 */
function hasRoom(turn: Turn, instance: InstanceRecord): boolean {
  const { state } = turn;
  const { device, model } = instance;
  if (state.closing || state.count("live") >= state.settings.maxInstances) return false;
  // The count includes the instance itself.
  return hasThread(state, device, device.taken.live, model.supply.future === 1) && hasMemory(turn, instance);
}

/** Highest priority first, then longest wait. */
function byUrgency(models: ReadonlySet<ModelRecord>): ModelRecord[] {
  const list = [...models];
  if (list.length < 2) return list;
  return list.sort((a, b) => b.queue.priority - a.queue.priority || a.queue.waitingSince - b.queue.waitingSince);
}

/** Starts the model without a request: at start, after a failure, or for an operator. Evicts nothing. */
export function preload(turn: Turn, model: ModelRecord, most: number): void {
  while (model.supply.future < Math.min(most, model.replicas)) {
    if (place(turn, model, "preload", false)) continue;
    if (turn.state.uninformed.has(model)) turn.state.uninformed.set(model, most);
    return;
  }
}

/** New figures have arrived: places that waited for them are chosen. */
export function informed(turn: Turn): void {
  const waiting = [...turn.state.uninformed];
  turn.state.uninformed.clear();
  for (const [model, most] of waiting) {
    turn.state.dirty.add(model);
    model.placement = null;
    if (most > 0 && !model.removed && !turn.state.closing && model.queue.size === 0) preload(turn, model, most);
  }
}

/** Stops the instances above the model's limit of replicas, least costly first: not ready yet, then idle. */
export function shrink(turn: Turn, model: ModelRecord): void {
  let count = model.supply.future - model.replicas;
  if (count <= 0) return;
  const order = [...model.instances].filter(({ life }) => life.phase !== "leaving" && life.phase !== "failed");
  order.sort(
    (a, b) =>
      Number(a.isPinned) - Number(b.isPinned) ||
      a.inFlight.size - b.inFlight.size ||
      a.lastUsedAt - b.lastUsedAt ||
      b.serial - a.serial,
  );
  for (const instance of order) {
    if (count <= 0) return;
    leave(turn, instance, "reload");
    count -= 1;
  }
}
