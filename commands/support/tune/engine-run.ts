import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import type { Environment } from "../../../src/config/environment.ts";
import { systemClock } from "../../../src/core/clock.ts";
import type { Device } from "../../../src/core/device.ts";
import type { Engine } from "../../../src/core/engine.ts";
import { AssistantError } from "../../../src/core/errors.ts";
import type { ModelSpec } from "../../../src/core/model.ts";
import { createEngineProbe } from "../../../src/engines/index.ts";
import { deathByExit } from "../../../src/fleet/death.ts";
import { tailOf } from "../../../src/fleet/engine-log.ts";
import { type EngineProcess, spawnEngine } from "../../../src/fleet/engine-process.ts";
import { engineEnvironment } from "../../../src/fleet/environment.ts";
import { becomeReady } from "../../../src/fleet/readiness.ts";

/** What is started for a trial. */
export interface EngineRun {
  readonly engine: Engine;
  readonly model: ModelSpec;
  readonly modelPath: string;
  readonly device: Device;
  readonly threads: number;
  readonly env: Environment;
}

const STOP_GRACE_MS = 3_000;
const LOOK_TIMEOUT_MS = 2_000;
// What a Unix socket's path may have on every system, less the file's own name.
const LONGEST_FOLDER_BYTES = 80;

/**
 * Starts an engine of our own, on a socket of its own, and ends it after `use`, whatever happens; the kernel ends it
 * when this process is killed. Throws `model_failed` with the engine's last words where it ends by itself, else what
 * `use` throws, else the signal's reason.
 */
export async function withEngine<T>(run: EngineRun, signal: AbortSignal, use: (socketPath: string, signal: AbortSignal) => Promise<T>): Promise<T> {
  const base = Buffer.byteLength(tmpdir()) > LONGEST_FOLDER_BYTES ? "/tmp" : tmpdir();
  // mkdtemp makes it for this user alone.
  const folder = await mkdtemp(join(base, "assistant-tune-"));
  const logFile = join(folder, "engine.log");
  const socketPath = join(folder, "e.sock");
  try {
    const { engine, model, modelPath, device, threads } = run;
    const spec = engine.launch({ instanceId: `${model.name}@tune`, model, modelPath, device, threads, socketPath });
    const child = spawnEngine(spec, logFile, engineEnvironment(run.env));
    const gone = new AbortController();
    let phase: "starting" | "up" = "starting";
    const exited = child.exited.then(async (exit) => {
      const log = await tailOf(logFile, 200);
      gone.abort(new AssistantError("model_failed", deathByExit(exit, phase, log, Date.now()).message));
    });
    try {
      const either = AbortSignal.any([signal, gone.signal]);
      await becomeReady(createEngineProbe(), socketPath, model.kind, systemClock, either, LOOK_TIMEOUT_MS).catch((error: unknown) => {
        throw either.aborted ? either.reason : error;
      });
      phase = "up";
      return await use(socketPath, either);
    } catch (error) {
      // A connection breaks a moment before the end of the process is known, which says more.
      if (!signal.aborted) await Promise.race([exited, delay(200)]);
      throw gone.signal.aborted ? gone.signal.reason : error;
    } finally {
      await end(child);
    }
  } finally {
    await rm(folder, { recursive: true, force: true, maxRetries: 3 });
  }
}

async function end(child: EngineProcess): Promise<void> {
  child.kill("SIGTERM");
  const patience = new AbortController();
  const late = await Promise.race([child.exited.then(() => false), delay(STOP_GRACE_MS, true, { signal: patience.signal }).catch(() => false)]);
  patience.abort();
  if (late) child.kill("SIGKILL");
  await child.exited;
}
