import type { Capability } from "./worker-app.ts";

const FIRST_PAUSE_MS = 1_000;
const MAX_PAUSE_MS = 30_000;
/** The daemon sends a sign of life every five seconds. */
const SILENCE_MS = 20_000;

export interface RegistrationOptions {
  /** Of the daemon. */
  readonly apiServer: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly replicaId: string;
  readonly endpoint: string;
  readonly capabilities: readonly Capability[];
  readonly slots: number;
  report(text: string): void;
}

/**
 * Registers, and again whenever the stream that keeps the registration ends, until the signal aborts. Rejects where it
 * is refused for good.
 */
export async function keepRegistered(options: RegistrationOptions, signal: AbortSignal): Promise<void> {
  let pauseMs = FIRST_PAUSE_MS;
  while (!signal.aborted) {
    try {
      await hold(options, signal, () => {
        pauseMs = FIRST_PAUSE_MS;
      });
    } catch (error) {
      if (signal.aborted) return;
      if (error instanceof RefusedForGood) throw error;
      options.report(
        `not registered with ${options.apiServer}: ${(error as Error).message}; trying again in ${pauseMs / 1000} s`,
      );
    }
    if (signal.aborted) return;
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, pauseMs);
      const now = (): void => {
        clearTimeout(timer);
        resolve();
      };
      signal.addEventListener("abort", now, { once: true });
    });
    pauseMs = Math.min(MAX_PAUSE_MS, pauseMs * 2);
  }
}

class RefusedForGood extends Error {}

/** Resolves when the stream ends. */
async function hold(options: RegistrationOptions, signal: AbortSignal, registered: () => void): Promise<void> {
  const { apiServer, headers, replicaId, endpoint, capabilities, slots, report } = options;
  const silent = new AbortController();
  let timer = setTimeout(() => silent.abort(new Error("it is silent")), SILENCE_MS);
  try {
    const answer = await fetch(`${apiServer}/register`, {
      method: "POST",
      headers: { "content-type": "application/json", ...headers },
      body: JSON.stringify({ replica_id: replicaId, endpoint, capabilities, slots }),
      signal: AbortSignal.any([signal, silent.signal]),
    });
    if (!answer.ok || answer.body === null) {
      const text = `status ${answer.status}: ${(await answer.text()).slice(0, 500)}`;
      throw answer.status >= 400 && answer.status < 500 ? new RefusedForGood(text) : new Error(text);
    }
    report(`registered as ${replicaId} with ${apiServer}`);
    registered();
    for await (const _ of answer.body) {
      clearTimeout(timer);
      timer = setTimeout(() => silent.abort(new Error("it is silent")), SILENCE_MS);
    }
    throw new Error("the daemon closed the registration");
  } finally {
    clearTimeout(timer);
  }
}
