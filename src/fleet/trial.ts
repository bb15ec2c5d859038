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

/** An engine to run for a while outside the daemon. */
export interface Trial extends Omit<StartOrder, "instanceId"> {
  readonly engine: Engine;
  readonly modelPath: string;
  readonly probe: EngineProbe;
  /** This process's environment; the engine gets the permitted part of it. */
  readonly env: Readonly<Record<string, string | undefined>>;
}

export type UseEngine<T> = (socketPath: string, signal: AbortSignal) => Promise<T>;

const STOP_GRACE_MS = 3_000;
/** A measurement should not be disturbed by the fleet's regular checks. */
const NEVER_MS = 2 ** 31 - 1;
/** A connection breaks a moment before the end of the process is known, which is more informative. */
const DEATH_NEWS_MS = 200;
/** Maximum length of a Unix socket's path on every system, less the file's own name. */
const MAX_FOLDER_BYTES = 80;

/**
 * Starts one engine like the daemon's fleet, in a folder that is deleted afterwards, and stops it after `use` in any
 * case; the kernel kills it if this process is killed. `use` gets its socket, and a signal that also aborts when the
 * engine dies. Throws the reason why the engine did not start or died (`model_failed`, or what prevented the spawn),
 * otherwise what `use` throws, otherwise the signal's reason.
 */
export async function withTrialEngine<T>(trial: Trial, signal: AbortSignal, use: UseEngine<T>): Promise<T> {
  const base = Buffer.byteLength(tmpdir()) > MAX_FOLDER_BYTES ? "/tmp" : tmpdir();
  // mkdtemp creates it for this user only.
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
    // The error contains everything relevant.
    log: { info: () => {}, warn: () => {}, error: () => {} },
    settings: { pollMs: NEVER_MS },
    baseEnv: engineEnvironment(env),
    onEvent,
  });

const deathError = ({ error = "model_failed", message }: Death): AssistantError => new AssistantError(error, message);
