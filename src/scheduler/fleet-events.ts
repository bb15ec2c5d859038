import type { FleetEvent, FleetTransition } from "../core/fleet.ts";
import type { InstanceSnapshot, InstanceState } from "../core/instance.ts";
import { loseRequests, plan, remove } from "./lifecycle.ts";
import { forgetFigures } from "./memory.ts";
import { account, setPhase } from "./places.ts";
import { putToSleep, wake } from "./sleeping.ts";
import type { InstanceRecord } from "./state.ts";
import { learn } from "./structures/average.ts";
import { arm, disarm, type Turn } from "./turn.ts";

/** A crashed instance whose next start is at most this far away is waited for; else who waits is told so. */
const SOON_MS = 15_000;
/** Pause after a failed start where the fleet names none. */
const DEFAULT_PAUSE_MS = 10_000;

/** Takes over what the fleet says of an instance. What it says of one we do not know is not for us. */
export function transitioned(turn: Turn, event: FleetEvent): void {
  const instance = turn.state.instances.get(event.snapshot.id);
  if (instance === undefined) return;
  const { state } = event.snapshot;
  if (event.type === "takeover") wake(instance, event.conversations);
  else if (state === "absent") absent(turn, instance, event);
  else if (state === "failed") failed(turn, instance, event.from, event.snapshot);
  else if (instance.leaving === null) up(turn, instance, state, event.snapshot);
}

function up(turn: Turn, instance: InstanceRecord, state: "starting" | "ready" | "draining" | "stopping", snapshot: InstanceSnapshot): void {
  if (state === "starting") {
    turn.state.plans.delete(instance);
    // The fleet may start again by itself what had failed.
    if (instance.phase === "failed") instance.startedAt = turn.now;
    setPhase(turn, instance, "starting");
  } else if (state === "ready") {
    ready(turn, instance, snapshot);
  } else if (state === "draining") {
    setPhase(turn, instance, "draining");
  } else {
    // Somebody else stops it: the same as if we had.
    account(turn, instance, (record) => {
      record.leaving = "stopped";
      record.phase = "stopping";
    });
    loseRequests(turn, instance, `Instance ${instance.id} was stopped before the answer had ended`, "engine_stopped");
  }
}

function ready(turn: Turn, instance: InstanceRecord, snapshot: InstanceSnapshot): void {
  const { model } = instance;
  const loaded = instance.phase === "ordered" || instance.phase === "starting";
  if (loaded) {
    learn(model.averages.loadMs, turn.now - instance.startedAt);
    instance.lastUsedAt = turn.now;
    instance.readyAt = turn.now;
    disarm(turn, instance.phaseDue);
    if (![...model.instances].some((other) => other.phase === "failed")) {
      model.failure = null;
      disarm(turn, model.retry);
    }
  }
  if (snapshot.contextTokens > 0) instance.contextTokens = snapshot.contextTokens;
  model.memory ??= snapshot.memoryBytes;
  account(turn, instance, (record) => {
    if (snapshot.slots > 0) record.slots = snapshot.slots;
    if (record.bytes === 0) record.bytes = snapshot.memoryBytes ?? 0;
    record.phase = "ready";
  });
  if (loaded) wake(instance, snapshot.restoredConversations ?? []);
}

function absent(turn: Turn, instance: InstanceRecord, event: FleetTransition): void {
  // The echo of an order that ended its predecessor of the same name.
  if (instance.leaving === null && (instance.phase === "ordered" || instance.phase === "planned")) return;
  putToSleep(instance, event.snapshot.savedConversations ?? []);
  gone(turn, instance, event.snapshot.lastDeath?.message ?? `Instance ${instance.id} was stopped`);
}

/** The process is away. Its requests are lost, its room is free, and it comes back if that was the intention. */
export function gone(turn: Turn, instance: InstanceRecord, message: string): void {
  const { model, device, restart, pinOverride } = instance;
  loseRequests(turn, instance, message);
  forgetFigures(device);
  remove(turn, instance);
  if (!restart || model.removed || turn.state.closing || !model.eligible.includes(device)) return;
  const successor = plan(turn, model, device, "restart");
  account(turn, successor, (record) => {
    record.pinOverride = pinOverride;
  });
}

function failed(turn: Turn, instance: InstanceRecord, from: InstanceState, snapshot: InstanceSnapshot): void {
  const { model } = instance;
  const message = snapshot.lastDeath?.message ?? `Instance ${instance.id} failed and no reason is known`;
  if (instance.leaving !== null) {
    // It has ended another way than ordered; the fleet is to forget the failure, and the pause that comes with it.
    turn.effects.push({ type: "stop", instanceId: instance.id, cause: instance.leaving });
    gone(turn, instance, message);
    return;
  }
  if (instance.phase === "planned") return;
  const crashed = from === "ready" || from === "draining";
  loseRequests(turn, instance, message);
  disarm(turn, instance.phaseDue);
  model.prefixes.clear(instance);
  forgetFigures(instance.device);
  instance.retryAt = snapshot.retryAt ?? 0;
  account(turn, instance, (record) => {
    record.phase = "failed";
    // What an operator drained is no longer there.
    record.held = false;
  });
  const retryAt = snapshot.retryAt ?? (crashed ? turn.now : turn.now + DEFAULT_PAUSE_MS);
  const code = snapshot.lastDeath?.error ?? "model_failed";
  model.failure = { message, code, waitersStay: crashed && retryAt - turn.now <= SOON_MS };
  if (crashed && retryAt <= turn.now && !turn.state.closing) plan(turn, model, instance.device, "restart");
  else arm(turn, model.retry, model.retry.heapIndex < 0 ? retryAt : Math.max(model.retry.at, retryAt));
}

/** The fleet has said nothing about an order for longer than a start may take. */
export function orderUnanswered(turn: Turn, instance: InstanceRecord): void {
  const { model } = instance;
  model.failure = { message: `instance ${instance.id} did not start in time`, code: "model_failed", waitersStay: false };
  arm(turn, model.retry, turn.now + DEFAULT_PAUSE_MS);
  turn.effects.push({ type: "stop", instanceId: instance.id, cause: "stopped" });
  // Nothing more is to be expected of it; a fleet that did start it has the order to stop it.
  remove(turn, instance);
}
