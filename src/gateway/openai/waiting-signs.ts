import type { Waiting } from "../../core/request.ts";
import type { ClientStream } from "../relay/client-stream.ts";

export interface SignTimes {
  /** Silence after which a waiting stream shows that it is alive, ms. */
  readonly firstMs: number;
  /** Between further signs, ms. */
  readonly everyMs: number;
}

/** Long enough that a request which only queues briefly keeps its status code, shorter than any client's patience. */
export const usualSignTimes: SignTimes = { firstMs: 2_000, everyMs: 5_000 };

/**
 * SSE comments for a streamed request that waits for a slot or for a model to load: clients and proxies give up on a
 * connection that stays silent. The first one sends the status 200, so that a later failure can only be an event.
 */
export class WaitingSigns implements Disposable {
  readonly #client: ClientStream;
  readonly #times: SignTimes;
  #timer: NodeJS.Timeout | null = null;
  #wait: Waiting | null = null;
  #over = false;

  constructor(client: ClientStream, times: SignTimes) {
    this.#client = client;
    this.#times = times;
  }

  /** What the wait is for now. The first call starts the clock. */
  readonly told = (wait: Waiting): void => {
    this.#wait = wait;
    if (!this.#over) this.#timer ??= setTimeout(() => this.#sign(), this.#times.firstMs);
  };

  [Symbol.dispose](): void {
    this.#over = true;
    if (this.#timer) clearTimeout(this.#timer);
  }

  #sign(): void {
    const head = ["Content-Type", "text/event-stream", "Cache-Control", "no-cache", "X-Accel-Buffering", "no", ...waitHeaders(this.#wait)];
    this.#client.begin(200, head, this.#client.isHttp10 ? "plain" : "raw");
    this.#client.payload(Buffer.from(`: ${describe(this.#wait)}\n\n`));
    this.#timer = setTimeout(() => this.#sign(), this.#times.everyMs);
  }
}

/** Place and expected start, for the head of an answer that has to wait or has waited; none for one that was served at once. */
export function waitHeaders(wait: Waiting | null): string[] {
  if (wait === null) return [];
  const start = wait.expectedStartMs === null ? [] : ["x-assistant-expected-start-ms", String(Math.round(wait.expectedStartMs))];
  return ["x-assistant-queue-place", String(wait.place), ...start];
}

function describe(wait: Waiting | null): string {
  const start = wait?.expectedStartMs == null ? "" : `, about ${Math.ceil(wait.expectedStartMs / 1000)} s to go`;
  return wait?.reason === "loading" ? `waiting for the model to load${start}` : `waiting in the queue, place ${wait?.place ?? 1}${start}`;
}
