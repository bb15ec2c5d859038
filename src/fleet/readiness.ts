import type { Clock } from "../core/clock.ts";
import type { Endpoint } from "../core/endpoint.ts";
import { AssistantError, isAssistantError } from "../core/errors.ts";
import type { ModelKind } from "../core/model.ts";
import type { EngineProbe } from "../core/probe.ts";
import type { PortWatch } from "./port-listener.ts";

const FIRST_PAUSE_MS = 15;
const MAX_PAUSE_MS = 250;
const TOKEN_TRIES = 3;

/** Another program listens in the engine's place. */
export class PortTaken extends Error {
  constructor(endpoint: Endpoint) {
    super(
      `another program listens on ${endpoint}, which was free before; the next start takes another port. If that program is the engine's, such as a container, write \`own_listener = false\` under [command] of the model's file`,
    );
    this.name = "PortTaken";
  }
}

export interface StartingEngine {
  readonly endpoint: Endpoint;
  readonly kind: ModelKind;
  /** Determines who listens there; null: no other process can. */
  readonly portWatch: PortWatch | null;
  /** Receives what is missing for readiness at the last check; null: nothing worth reporting. */
  note(reason: string | null): void;
}

/**
 * Resolves once the engine reports itself ready and has produced a real token: health alone proves nothing about
 * inference. Rejects with the last reason if no token arrives, if another program listens in its place, or if `signal`
 * aborts.
 */
export async function becomeReady(
  probe: EngineProbe,
  engine: StartingEngine,
  clock: Clock,
  signal: AbortSignal,
  lookTimeoutMs: number,
): Promise<void> {
  let pause = FIRST_PAUSE_MS;
  while (!(await isHealthy(probe, engine, AbortSignal.any([signal, AbortSignal.timeout(lookTimeoutMs)])))) {
    await sleep(clock, pause, signal);
    pause = Math.min(pause * 1.5, MAX_PAUSE_MS);
  }
  for (let attempt = 1; ; attempt++) {
    try {
      await probe.token(engine.endpoint, engine.kind, signal);
      break;
    } catch (error) {
      if (signal.aborted || attempt >= TOKEN_TRIES) throw error;
      await sleep(clock, pause, signal);
    }
  }
  // It may have lost its port while it answered.
  if (!(await listens(engine)))
    throw new AssistantError("engine_error", `Nothing listens on ${engine.endpoint} any more.`);
}

/** A refused connection means that it does not listen yet. */
async function isHealthy(probe: EngineProbe, engine: StartingEngine, signal: AbortSignal): Promise<boolean> {
  if (!(await listens(engine))) {
    engine.note(`nothing listens on ${engine.endpoint}`);
    return false;
  }
  return probe.health(engine.endpoint, signal).then(
    (health) => {
      engine.note(health === "ready" ? null : "it reports that it is loading");
      return health === "ready";
    },
    (error: unknown) => {
      engine.note(isAssistantError(error) ? error.message : null);
      return false;
    },
  );
}

/** Throws `PortTaken`. */
async function listens({ endpoint, portWatch }: StartingEngine): Promise<boolean> {
  const found = portWatch === null ? "engine" : await portWatch.look();
  if (found !== "stranger") return found === "engine";
  throw new PortTaken(endpoint);
}

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
