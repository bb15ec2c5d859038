import type { Device } from "../core/device.ts";
import type { ModelSpec } from "../core/model.ts";
import type { MemoryNeed, SchedulerConfig } from "./events.ts";
import { leave, rejectAll } from "./lifecycle.ts";
import { budgetOf, forgetFigures } from "./memory.ts";
import { modelChanged, refresh, roomChanged, unpark } from "./places.ts";
import { Accounts } from "./queue/accounts.ts";
import { DeviceRecord, ModelRecord } from "./records.ts";
import { meetNodes } from "./remotes.ts";
import { preload, shrink } from "./scaling.ts";
import { disarm, refusal, type SchedulerState, type Turn } from "./state.ts";

/**
 * Applies a configuration, at start or on reload. Only models that were removed or whose fingerprint differs are
 * drained; a model that keeps its name keeps its queue.
 */
export function configured(turn: Turn, config: SchedulerConfig): void {
  const { state } = turn;
  const wasDrained = state.settings.isDrained === true;
  const isOtherPolicy = state.settings.policy !== config.settings.policy;
  state.settings = config.settings;
  state.hasExclusive = config.models.some((spec) => spec.exclusive);
  for (const instance of isOtherPolicy ? state.instances.values() : []) {
    unpark(turn, instance);
    refresh(turn, instance);
  }
  takeDevices(turn, config.devices);
  const names = new Set(config.models.map((spec) => spec.name));
  for (const model of [...state.models.values()])
    if (!names.has(model.name) && !model.isDiscovered) removeModel(turn, model);
  const toPreload: ModelRecord[] = [];
  for (const spec of config.models) {
    const memory = config.memoryBytes?.get(spec.name) ?? null;
    const known = state.models.get(spec.name);
    const wasWanted =
      known !== undefined &&
      !known.removed &&
      !wasDrained &&
      known.spec.fingerprint === spec.fingerprint &&
      (known.spec.preload || (!spec.preload && known.spec.replicasMin === spec.replicasMin));
    const model = known ?? new ModelRecord(spec);
    if (known === undefined) state.models.set(spec.name, model);
    takeModel(turn, model, spec, memory);
    model.cacheTokens = config.cacheTokens?.get(spec.name) ?? null;
    model.memoryPending = config.memoryPending?.has(spec.name) ?? false;
    if ((spec.preload || (spec.replicasMin ?? 0) > 0) && !wasWanted) toPreload.push(model);
  }
  // Their requests finish, however long they take; waiting ones go elsewhere.
  if (config.settings.isDrained === true)
    for (const instance of [...state.instances.values()]) leave(turn, instance, "evicted");
  if (wasDrained || config.settings.isDrained === true)
    for (const model of state.models.values()) if (model.queue.size > 0) state.dirty.add(model);
  shareAccounts(state);
  roomChanged(turn);
  for (const model of toPreload) preload(turn, model, model.wantedInstances);
}

function takeDevices({ state, now }: Turn, devices: readonly Device[]): void {
  const ids = new Set(devices.map((device) => device.id));
  for (const id of [...state.devices.keys()]) if (!ids.has(id)) state.devices.delete(id);
  for (const device of devices) {
    const known = state.devices.get(device.id);
    if (known !== undefined && state.measures) {
      // Measurements since the daemon's start are newer than the figures of a reload.
      forgetFigures(known);
      continue;
    }
    const record = known ?? new DeviceRecord(device);
    state.devices.set(device.id, record);
    record.device = device;
    record.budgetBytes = budgetOf(device, record.taken.live.bytes);
    record.measuredAt = now;
  }
}

function takeModel(turn: Turn, model: ModelRecord, spec: ModelSpec, memory: MemoryNeed | null): void {
  const changed = model.spec.fingerprint !== spec.fingerprint;
  model.spec = spec;
  model.removed = false;
  modelChanged(turn, model);
  meetNodes(turn.state, model);
  model.queue.maxWaitMs = turn.state.settings.maxWaitMs;
  model.memory = memory ?? (changed ? null : model.memory);
  model.eligible = eligibleDevices(turn.state, model);
  model.placement = null;
  turn.state.dirty.add(model);
  if (changed) {
    model.failure = null;
    disarm(turn, model.retry);
  }
  for (const instance of [...model.instances]) {
    const stays = model.eligible.includes(instance.device);
    if (!stays) leave(turn, instance, "reload");
    else if (changed && instance.life.phase !== "leaving") leave(turn, instance, "reload", true);
  }
  shrink(turn, model);
}

function removeModel(turn: Turn, model: ModelRecord): void {
  if (model.removed) return;
  model.removed = true;
  rejectAll(
    turn,
    model,
    refusal("model_not_found", `Model "${model.name}" was removed from the configuration while the request waited`),
  );
  for (const due of [model.retry, model.serveDue, model.roomDue]) disarm(turn, due);
  for (const instance of [...model.instances]) leave(turn, instance, "reload");
  if (model.instances.size === 0) turn.state.models.delete(model.name);
  turn.state.dirty.add(model);
}

/** Devices the model may run on: those it names, otherwise all GPUs, otherwise the CPU. */
function eligibleDevices(state: SchedulerState, { spec }: ModelRecord): DeviceRecord[] {
  const all = [...state.devices.values()];
  if (spec.devices.length > 0) return all.filter(({ id }) => spec.devices.includes(id));
  const gpus = all.filter(({ isCpu }) => !isCpu);
  return gpus.length > 0 ? gpus : all;
}

/**
 * Models that may run on the same devices, directly or through a third model, share one account of what their tenants
 * received. Models without a shared device do not: work on one takes nothing from those waiting for the other.
 */
function shareAccounts(state: SchedulerState): void {
  const pools: { readonly devices: Set<string>; readonly models: ModelRecord[] }[] = [];
  for (const model of state.models.values()) {
    if (model.eligible.length === 0) continue;
    const pool = { devices: new Set(model.eligible.map(({ id }) => id)), models: [model] };
    for (const other of pools.filter(({ devices }) => [...devices].some((id) => pool.devices.has(id)))) {
      for (const id of other.devices) pool.devices.add(id);
      pool.models.push(...other.models);
      pools.splice(pools.indexOf(other), 1);
    }
    pools.push(pool);
  }
  const before = new Map(state.accounts);
  state.accounts.clear();
  for (const { devices, models } of pools) {
    const name = [...devices].sort().join(" ");
    const accounts = before.get(name) ?? new Accounts();
    state.accounts.set(name, accounts);
    for (const { queue } of models) queue.share(accounts);
  }
}
