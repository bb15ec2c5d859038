import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { systemClock } from "../core/clock.ts";
import type { Engine } from "../core/engine.ts";
import { AssistantError } from "../core/errors.ts";
import type { FleetEvent, StartOrder } from "../core/fleet.ts";
import type { Death } from "../core/instance.ts";
import type { EngineProbe } from "../core/probe.ts";
import { JsonDocuments } from "../store/json-documents.ts";
import { engineEnvironment } from "./environment.ts";
import { Fleet } from "./fleet.ts";

/** An engine to be run for a while outside the daemon. */
export interface Trial extends Omit<StartOrder, "instanceId"> {
  readonly engine: Engine;
  readonly modelPath: string;
  readonly probe: EngineProbe;
  /** This process's environment; the engine gets the part of it that engines may have. */
  readonly env: Readonly<Record<string, string | undefined>>;
}

export type UseEngine<T> = (socketPath: string, signal: AbortSignal) => Promise<T>;

const STOP_GRACE_MS = 3_000;
/** A measurement should not share the engine with the fleet's regular looks at it. */
const NEVER_MS = 2 ** 31 - 1;
/** A connection breaks a moment before the end of the process is known, which says more. */
const DEATH_NEWS_MS = 200;
/** What a Unix socket's path may have on every system, less the file's own name. */
const MAX_FOLDER_BYTES = 80;

/**
 * Starts one engine as the daemon's fleet does, in a folder that is deleted afterwards, and ends it after `use`,
 * whatever happens; the kernel ends it when this process is killed. `use` gets its socket, and a signal that also
 * aborts when the engine dies. Throws the reason why the engine did not start or died (`model_failed`, or what kept it
 * from being spawned), else what `use` throws, else the signal's reason.
 */
export async function withTrialEngine<T>(trial: Trial, signal: AbortSignal, use: UseEngine<T>): Promise<T> {
  const base = Buffer.byteLength(tmpdir()) > MAX_FOLDER_BYTES ? "/tmp" : tmpdir();
  // mkdtemp makes it for this user alone.
  const folder = await mkdtemp(join(base, "assistant-trial-"));
  const ready = Promise.withResolvers<string>();
  const dead = new AbortController();
  const fleet = fleetOfOne(trial, folder, (event) => {
    const { state, endpoint, lastDeath } = event.snapshot;
    if (state === "ready" && endpoint !== null) ready.resolve(endpoint);
    if (state === "failed" && lastDeath !== null) dead.abort(deathError(lastDeath));
  });
  const either = AbortSignal.any([signal, dead.signal]);
  either.addEventListener("abort", () => ready.reject(either.reason), { once: true });
  try {
    signal.throwIfAborted();
    const { model, device, threads } = trial;
    fleet.start({ instanceId: `${model.name}@${device.id}`, model, device, threads });
    return await use(await ready.promise, either);
  } catch (error) {
    await delay(DEATH_NEWS_MS, undefined, { signal: either }).catch(() => {});
    throw dead.signal.aborted ? dead.signal.reason : error;
  } finally {
    await fleet.close(STOP_GRACE_MS);
    await rm(folder, { recursive: true, force: true, maxRetries: 3 });
  }
}

const fleetOfOne = (
  { engine, modelPath, probe, env }: Trial,
  folder: string,
  onEvent: (event: FleetEvent) => void,
): Fleet =>
  new Fleet({
    engineFor: async () => engine,
    resolveWeights: async () => modelPath,
    probe,
    clock: systemClock,
    random: Math.random,
    documents: new JsonDocuments({ directory: folder, fileMode: 0o600, directoryMode: 0o700, report: () => {} }),
    runDir: folder,
    logDir: folder,
    // Whatever matters is in the error.
    log: { info: () => {}, warn: () => {}, error: () => {} },
    settings: { pollMs: NEVER_MS },
    baseEnv: engineEnvironment(env),
    onEvent,
  });

const deathError = ({ error = "model_failed", message }: Death): AssistantError => new AssistantError(error, message);
