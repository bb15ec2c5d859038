import type { FleetEvent } from "../core/fleet.ts";
import type { InstanceSnapshot, InstanceState } from "../core/instance.ts";
import { loseRequests, plan, remove } from "./lifecycle.ts";
import { forgetFigures } from "./memory.ts";
import { setLife } from "./places.ts";
import type { InstanceRecord, ModelRecord } from "./records.ts";
import { arm, disarm, type Turn } from "./state.ts";

/**
 * If the next start of a crashed instance is at most this far away, requests wait for it; otherwise they are refused.
 */
const SOON_MS = 15_000;
/** Delay after a failed start if the fleet names none. */
const DEFAULT_PAUSE_MS = 10_000;
/** Conversations of a model that are remembered while no instance holds them. */
const MAX_SLEEPING = 256;

/** Applies a transition reported by the fleet. Instances unknown to the scheduler are ignored. */
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
    // Stopped by another party: treated as if the scheduler had ordered it.
    setLife(turn, instance, { phase: "leaving", cause: "stopped", restart: false, stopping: true });
    loseRequests(turn, instance, `Instance ${instance.id} was stopped before the answer had ended`, "engine_stopped");
  } else {
    turn.state.plans.delete(instance);
    // The fleet may restart a failed instance by itself.
    if (instance.life.phase === "failed")
      Object.assign(instance, { startedAt: turn.now, lentThreads: instance.threads });
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

/** The process has exited. Its requests are lost, its room is free, and it restarts if that was intended. */
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
    // It ended in another way than ordered; make the fleet forget the failure, and the delay that comes with it.
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

/** The fleet has not responded to an order within the time that a start may take. */
export function orderUnanswered(turn: Turn, instance: InstanceRecord): void {
  const { model } = instance;
  model.failure = {
    message: `instance ${instance.id} did not start in time`,
    code: "model_failed",
    waitersStay: false,
  };
  arm(turn, model.retry, turn.now + DEFAULT_PAUSE_MS);
  turn.effects.push({ type: "stop", instanceId: instance.id, cause: "stopped" });
  // Given up; if the fleet did start it, it has an order to stop it.
  remove(turn, instance);
}

/** The model may be started again at once: an instance is ready, or an operator overrides the delay after a failure. */
export function forgive(turn: Turn, model: ModelRecord): void {
  model.failure = null;
  disarm(turn, model.retry);
  turn.state.dirty.add(model);
}

/**
 * An instance has ended, and the fleet has saved this many of its conversations under these names, most recently used
 * first. Which name belongs to which conversation follows from the order, because the engine and the index both know
 * the order of use.
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

/** An instance loaded these conversations, most recently used first. They stay known: another one may load copies. */
function wake(instance: InstanceRecord, names: readonly string[]): void {
  const { sleeping, prefixes } = instance.model;
  const conversations = names.map((name) => sleeping.get(name)).filter((found) => found !== undefined);
  prefixes.remember(instance, conversations, instance.cacheTokens);
}
