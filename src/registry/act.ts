import { setTimeout as delay } from "node:timers/promises";
import type { DaemonStatus, InstanceStatus } from "../api/status.ts";
import { AssistantError } from "../core/errors.ts";

export type ModelAction = "load" | "unload" | "restart";

/** A daemon that acts on its models: this one, or one that a command talks to. */
export interface ActingDaemon {
  status(): Promise<DaemonStatus>;
  /** Resolves once accepted. */
  act(model: string, action: ModelAction): Promise<unknown>;
}

const POLL_MS = 100;
/** Looks at which nothing was on the way before a load counts as undone: one may come between two states. */
const IDLE_POLLS = 3;
/** States of an instance that has a process, or is about to. */
const UP = ["starting", "ready", "draining", "stopping"];

/**
 * Has the daemon act on one of its models, and returns its instances when that has happened. `onChange` hears of them
 * in between. Throws why a load failed, and the signal's reason.
 */
export async function actOn(
  daemon: ActingDaemon,
  model: string,
  action: ModelAction,
  { signal, onChange }: { signal?: AbortSignal; onChange?(instances: readonly InstanceStatus[]): void } = {},
): Promise<readonly InstanceStatus[]> {
  const status = await daemon.status();
  const before = new Set(instancesOf(status, model).flatMap(({ pid }) => pid ?? []));
  await daemon.act(model, action);
  let idlePolls = 0;
  for (;;) {
    await delay(POLL_MS, undefined, signal === undefined ? {} : { signal });
    const now = await daemon.status();
    const instances = instancesOf(now, model);
    onChange?.(instances);
    if (isDone(action, instances, before)) return instances;
    const failure = action === "unload" ? null : failureOf(now, model, instances, status.now);
    if (failure !== null) throw failure;
    idlePolls = action === "unload" || isComing(now, model, instances) ? 0 : idlePolls + 1;
    if (idlePolls >= IDLE_POLLS)
      throw new AssistantError("model_failed", `${model} was unloaded by another request while it was loading.`, {
        remedy: "Load it again.",
      });
  }
}

const instancesOf = (status: DaemonStatus, model: string): InstanceStatus[] =>
  status.instances.filter((instance) => instance.model === model);

/** Pure. `before`: the processes that were running when the action was requested. */
function isDone(
  action: ModelAction,
  instances: readonly Pick<InstanceStatus, "state" | "pid">[],
  before: ReadonlySet<number>,
): boolean {
  const up = instances.filter(({ state }) => UP.includes(state));
  const stays = up.some(({ pid }) => pid !== null && before.has(pid));
  // Waiting requests may have started it again by now: the action has nevertheless been carried out.
  if (action === "unload") return !stays && !up.some(({ state }) => state === "draining" || state === "stopping");
  const ready = up.filter(
    ({ state, pid }) => state === "ready" && pid !== null && (action === "load" || !before.has(pid)),
  );
  return ready.length > 0 && (action === "load" || !stays);
}

const isComing = (status: DaemonStatus, model: string, instances: readonly InstanceStatus[]): boolean =>
  instances.some(({ state }) => UP.includes(state)) ||
  status.models.find(({ name }) => name === model)?.coming !== false;

/** Why it will not be up: a start that has failed since, or no place for it. */
function failureOf(
  status: DaemonStatus,
  model: string,
  instances: readonly InstanceStatus[],
  since: number,
): AssistantError | null {
  if (instances.some(({ state }) => UP.includes(state))) return null;
  const failed = instances.find(
    ({ state, lastDeath }) => state === "failed" && lastDeath !== null && lastDeath.at >= since,
  );
  const reason = failed?.lastDeath?.message ?? status.models.find(({ name }) => name === model)?.error ?? null;
  return reason === null
    ? null
    : new AssistantError("model_failed", `${model} could not be loaded: ${reason}`, {
        remedy:
          failed === undefined
            ? "`assistant ps` shows which models use the memory."
            : `\`assistant logs ${failed.id}\` shows details.`,
      });
}
