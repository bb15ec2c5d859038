import type { AssistantError } from "../core/errors.ts";
import { isUnfinished, serve } from "./dispatch.ts";
import { lookAgainAt, surplus } from "./eviction.ts";
import { hasThread } from "./grants.ts";
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
 * Draws the conclusions of what an event changed: free slots go to who waits, models that are waited for get instances,
 * room that became free goes to who waits for room. Every handler marks what it touched; this runs once at the end.
 */
export function settle(turn: Turn): void {
  const touched: ModelRecord[] = [];
  do {
    touched.length = 0;
    settleHere(turn, touched);
    // Last, so that what is started here for who waits has its order before other nodes take them.
    for (const model of touched) overflow(turn, model);
  } while (turn.state.dirty.size > 0);
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

/** Starts what the waiting requests of a model need, if there is room, and gives up what nobody needs any longer. */
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
  // A restart that nobody waited for made no room for itself. Now that somebody does, it is a start like any other.
  for (const instance of model.supply.coming)
    if (instance.life.phase === "planned" && instance.purpose !== "demand" && !hasRoom(turn, instance))
      remove(turn, instance);
  // Single flight: while one instance is on its way, nobody starts a second.
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

/** The last who waits would wait longer than a load takes. */
function isBacklogged(turn: Turn, model: ModelRecord): boolean {
  const { loadMs } = model;
  const wait = expectedWaitMs(waitEstimate(model, turn.now), model.queue.size);
  return loadMs.value !== null && wait !== null && wait > loadMs.value;
}

/** Requests wait, and no running instance is below max_load. */
function isSaturated(turn: Turn, model: ModelRecord): boolean {
  for (const instance of model.instances) {
    if (instance.life.phase === "ready" && instance.load < turn.state.settings.maxLoad) return false;
  }
  return true;
}

/** Whether a planned instance can start now: its place and its memory are really free, the victims gone. */
function hasRoom(turn: Turn, instance: InstanceRecord): boolean {
  const { state } = turn;
  const { device, model } = instance;
  if (state.closing || state.count("live") >= state.settings.maxInstances) return false;
  // It counts among those to come itself.
  return hasThread(state, device, device.taken.live, model.supply.future === 1) && hasMemory(turn, instance);
}

/** Highest priority first, then who has waited longest. */
function byUrgency(models: ReadonlySet<ModelRecord>): ModelRecord[] {
  const list = [...models];
  if (list.length < 2) return list;
  return list.sort((a, b) => b.queue.priority - a.queue.priority || a.queue.waitingSince - b.queue.waitingSince);
}

/** Starts the model without a request: at start, after a failure, or on an operator's word. Pushes nobody out. */
export function preload(turn: Turn, model: ModelRecord, most: number): void {
  while (model.supply.future < Math.min(most, model.replicas)) {
    if (place(turn, model, "preload", false)) continue;
    if (turn.state.uninformed.has(model)) turn.state.uninformed.set(model, most);
    return;
  }
}

/** More is known now: the places that wait for it are chosen. */
export function informed(turn: Turn): void {
  const waiting = [...turn.state.uninformed];
  turn.state.uninformed.clear();
  for (const [model, most] of waiting) {
    turn.state.dirty.add(model);
    model.placement = null;
    if (most > 0 && !model.removed && !turn.state.closing && model.queue.size === 0) preload(turn, model, most);
  }
}

/** Ends the instances over the model's limit of replicas, those first that miss least: not yet up, then idle. */
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
