import type { Clock } from "../core/clock.ts";
import type { ModelKind } from "../core/model.ts";
import type { EngineProbe } from "../core/probe.ts";

const FIRST_PAUSE_MS = 15;
const MAX_PAUSE_MS = 250;
const TOKEN_TRIES = 3;

/**
 * Resolves once the engine says that it is ready and has produced a real token: health alone says nothing of
 * inference. Rejects with the last reason when tokens do not come, or when `signal` aborts.
 */
export async function becomeReady(
  probe: EngineProbe,
  socketPath: string,
  kind: ModelKind,
  clock: Clock,
  signal: AbortSignal,
  lookTimeoutMs: number,
): Promise<void> {
  let pause = FIRST_PAUSE_MS;
  while (!(await isHealthy(probe, socketPath, AbortSignal.any([signal, AbortSignal.timeout(lookTimeoutMs)])))) {
    await sleep(clock, pause, signal);
    pause = Math.min(pause * 1.5, MAX_PAUSE_MS);
  }
  for (let attempt = 1; ; attempt++) {
    try {
      return await probe.token(socketPath, kind, signal);
    } catch (error) {
      if (signal.aborted || attempt >= TOKEN_TRIES) throw error;
      await sleep(clock, pause, signal);
    }
  }
}

/** A refused connection means that the socket is not there yet. */
const isHealthy = (probe: EngineProbe, socketPath: string, signal: AbortSignal): Promise<boolean> =>
  probe.health(socketPath, signal).then(
    (health) => health === "ready",
    () => false,
  );

/** Rejects with the signal's reason when it aborts. */
export function sleep(clock: Clock, delayMs: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) return reject(signal.reason as Error);
    const timer = clock.after(delayMs, () => {
      signal.removeEventListener("abort", aborted);
      resolve();
    });
    const aborted = (): void => {
      timer.cancel();
      reject(signal.reason as Error);
    };
    signal.addEventListener("abort", aborted, { once: true });
  });
}
