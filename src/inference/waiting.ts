import type { Waiting } from "../core/request.ts";

export interface SignalTimes {
  /** Silence after which a waiting call shows that it is alive, ms. */
  readonly firstMs: number;
  /** Between further signals, ms. */
  readonly everyMs: number;
}

/** Long enough that a call which only waits briefly keeps its status code, shorter than any client's timeout. */
export const DEFAULT_SIGNAL_TIMES: SignalTimes = { firstMs: 2_000, everyMs: 5_000 };

/**
 * Regular signals that a call waits for a slot or for a model to load: clients and proxies give up on silent
 * connections.
 */
export class WaitingSignals implements Disposable {
  readonly #signal: (wait: Waiting) => void;
  readonly #times: SignalTimes;
  #timer: NodeJS.Timeout | null = null;
  #wait: Waiting | null = null;

  constructor(signal: (wait: Waiting) => void, times: SignalTimes) {
    this.#signal = signal;
    this.#times = times;
  }

  /** The current reason of the wait. The first call, initially and after a dispose, starts the clock. */
  update(wait: Waiting): void {
    this.#wait = wait;
    this.#timer ??= setTimeout(() => this.#send(), this.#times.firstMs);
  }

  [Symbol.dispose](): void {
    if (this.#timer) clearTimeout(this.#timer);
    this.#timer = null;
  }

  #send(): void {
    if (this.#wait !== null) this.#signal(this.#wait);
    this.#timer = setTimeout(() => this.#send(), this.#times.everyMs);
  }
}

/**
 * Place and expected start, for the head of an answer that waits or has waited; none for one that was served at once.
 */
export function waitHeaders(wait: Waiting | null): string[] {
  if (wait === null) return [];
  const start =
    wait.expectedStartMs === null ? [] : ["x-assistant-expected-start-ms", String(Math.round(wait.expectedStartMs))];
  return ["x-assistant-queue-place", String(wait.place), ...start];
}

/** The same as a comment of an event stream. */
export function waitingComment({ reason, place, expectedStartMs }: Waiting): string {
  const start = expectedStartMs === null ? "" : `, about ${Math.ceil(expectedStartMs / 1000)} s to go`;
  return reason === "loading"
    ? `: waiting for the model to load${start}\n\n`
    : `: waiting in the queue, place ${place}${start}\n\n`;
}
