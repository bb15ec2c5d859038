import type { FleetEvent } from "../core/fleet.ts";
import type { InstanceSnapshot, InstanceState } from "../core/instance.ts";
import { loseRequests, plan, remove } from "./lifecycle.ts";
import { forgetFigures } from "./memory.ts";
import { setLife } from "./places.ts";
import type { InstanceRecord, ModelRecord } from "./records.ts";
import { arm, disarm, type Turn } from "./state.ts";

/** A crashed instance whose next start is at most this far away is waited for; else who waits is told so. */
const SOON_MS = 15_000;
/** Pause after a failed start where the fleet names none. */
const DEFAULT_PAUSE_MS = 10_000;
/** Conversations of a model that are remembered while no instance holds them. */
const MAX_SLEEPING = 256;

/** Takes over what the fleet says of an instance. What it says of one we do not know is not for us. */
export function transitioned(turn: Turn, event: FleetEvent): void {
  const instance = turn.state.instances.get(event.snapshot.id);
  if (instance === undefined) return;
  if (event.type === "takeover") {
    wake(instance, event.conversations);
    return;
  }
  const { from, snapshot } = event;
  if (snapshot.state === "absent") absent(turn, instance, snapshot);
  else if (snapshot.state === "failed") failed(turn, instance, from, snapshot);
  else if (instance.life.phase === "leaving") return;
  else if (snapshot.state === "ready") ready(turn, instance, snapshot);
  else if (snapshot.state === "draining") setLife(turn, instance, { phase: "held" });
  else if (snapshot.state === "stopping") {
    // Somebody else stops it: the same as if we had.
    setLife(turn, instance, { phase: "leaving", cause: "stopped", restart: false, stopping: true });
    loseRequests(turn, instance, `Instance ${instance.id} was stopped before the answer had ended`, "engine_stopped");
  } else {
    turn.state.plans.delete(instance);
    // The fleet may start again by itself what had failed.
    if (instance.life.phase === "failed") instance.startedAt = turn.now;
    setLife(turn, instance, { phase: "starting" });
  }
}

function ready(turn: Turn, instance: InstanceRecord, snapshot: InstanceSnapshot): void {
  const { model, life } = instance;
  const loaded = life.phase === "ordered" || life.phase === "starting";
  if (snapshot.slots > 0) instance.slots = snapshot.slots;
  if (snapshot.contextTokens > 0) instance.contextTokens = snapshot.contextTokens;
  model.memory ??= snapshot.memoryBytes;
  if (instance.bytes === 0) instance.bytes = snapshot.memoryBytes ?? 0;
  if (loaded) {
    model.loadMs.learn(turn.now - instance.startedAt);
    Object.assign(instance, { lastUsedAt: turn.now, readyAt: turn.now });
    disarm(turn, instance.phaseDue);
    if (![...model.instances].some((other) => other.life.phase === "failed")) forgive(turn, model);
  }
  setLife(turn, instance, life.phase === "held" ? life : { phase: "ready" });
  if (loaded) wake(instance, snapshot.restoredConversations ?? []);
}

function absent(turn: Turn, instance: InstanceRecord, snapshot: InstanceSnapshot): void {
  // The echo of an order that ended its predecessor of the same name.
  if (instance.life.phase === "ordered" || instance.life.phase === "planned") return;
  putToSleep(instance, snapshot.savedConversations ?? []);
  gone(turn, instance, snapshot.lastDeath?.message ?? `Instance ${instance.id} was stopped`);
}

/** The process is away. Its requests are lost, its room is free, and it comes back if that was the intention. */
function gone(turn: Turn, instance: InstanceRecord, message: string): void {
  const { model, device, life, pinOverride } = instance;
  loseRequests(turn, instance, message);
  forgetFigures(device);
  remove(turn, instance);
  const comesBack =
    life.phase === "leaving" &&
    life.restart &&
    !model.removed &&
    !turn.state.closing &&
    model.eligible.includes(device);
  if (comesBack) plan(turn, model, device, "restart", pinOverride);
}

function failed(turn: Turn, instance: InstanceRecord, from: InstanceState, snapshot: InstanceSnapshot): void {
  const { model, life, device } = instance;
  const message = snapshot.lastDeath?.message ?? `Instance ${instance.id} failed for an unknown reason`;
  if (life.phase === "leaving") {
    // It has ended another way than ordered; the fleet is to forget the failure, and the pause that comes with it.
    turn.effects.push({ type: "stop", instanceId: instance.id, cause: life.cause });
    gone(turn, instance, message);
    return;
  }
  if (life.phase === "planned") return;
  const crashed = from === "ready" || from === "draining";
  loseRequests(turn, instance, message);
  disarm(turn, instance.phaseDue);
  model.prefixes.clear(instance);
  forgetFigures(device);
  setLife(turn, instance, { phase: "failed", retryAt: snapshot.retryAt ?? 0 });
  const retryAt = snapshot.retryAt ?? (crashed ? turn.now : turn.now + DEFAULT_PAUSE_MS);
  const code = snapshot.lastDeath?.error ?? "model_failed";
  model.failure = { message, code, waitersStay: crashed && retryAt - turn.now <= SOON_MS };
  if (crashed && retryAt <= turn.now && !turn.state.closing) plan(turn, model, device, "restart");
  else arm(turn, model.retry, model.retry.armed ? Math.max(model.retry.at, retryAt) : retryAt);
}

/** The fleet has said nothing about an order for longer than a start may take. */
export function orderUnanswered(turn: Turn, instance: InstanceRecord): void {
  const { model } = instance;
  model.failure = {
    message: `instance ${instance.id} did not start in time`,
    code: "model_failed",
    waitersStay: false,
  };
  arm(turn, model.retry, turn.now + DEFAULT_PAUSE_MS);
  turn.effects.push({ type: "stop", instanceId: instance.id, cause: "stopped" });
  // Nothing more is to be expected of it; a fleet that did start it has the order to stop it.
  remove(turn, instance);
}

/** The model may be started again at once: it is up, or an operator knows more than the pause after a failure does. */
export function forgive(turn: Turn, model: ModelRecord): void {
  model.failure = null;
  disarm(turn, model.retry);
  turn.state.dirty.add(model);
}

/**
 * An instance has ended, and the fleet has saved so many of its conversations under these names, used last first. Which
 * name is whose is concluded from the order: the engine and the index both know what was used when.
 */
function putToSleep(instance: InstanceRecord, names: readonly string[]): void {
  const { sleeping, prefixes } = instance.model;
  const latest = prefixes.latest(instance, names.length).reverse();
  for (const [index, conversation] of latest.entries()) sleeping.set(names[index] ?? "", conversation);
  for (const oldest of sleeping.keys()) {
    if (sleeping.size <= MAX_SLEEPING) break;
    sleeping.delete(oldest);
  }
}

/** An instance was given these conversations, used last first. They stay known: another one may be given copies. */
function wake(instance: InstanceRecord, names: readonly string[]): void {
  const { sleeping, prefixes } = instance.model;
  const conversations = names.map((name) => sleeping.get(name)).filter((found) => found !== undefined);
  prefixes.remember(instance, conversations, instance.cacheTokens);
}
