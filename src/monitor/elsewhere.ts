import type { Clock, Timer } from "../core/clock.ts";
import type { RedisConnection } from "../store/redis/connection.ts";
import type { Happening } from "./events.ts";

/**
 * How often watching daemons announce themselves, and how long a daemon reports to them after the last announcement.
 */
const SAY_EVERY_MS = 5_000;
const LEASE_MS = 15_000;
/** Events that wait to be sent, beyond which they are dropped and counted. */
const MAX_WAITING = 1_000;
const MAX_AT_ONCE = 100;

interface Shared extends Happening {
  /** Epoch milliseconds. */
  readonly at: number;
}

interface Report {
  readonly from: string;
  readonly events: readonly Shared[];
  /** How many were dropped before these. */
  readonly lost: number;
}

export interface ElsewhereOptions {
  readonly connection: Pick<RedisConnection, "id" | "channel" | "publish" | "subscribe">;
  readonly clock: Clock;
}

export interface ElsewhereListener {
  happened(event: Happening, at: number): void;
  /** Some were missed; null: unknown how many. */
  lost(count: number | null): void;
}

/** Events between the daemons of a cluster. They are sent while another one is watching, and never awaited. */
export class Elsewhere {
  readonly #options: ElsewhereOptions;
  readonly #watchChannel: string;
  readonly #eventChannel: string;
  #watchedUntil = Number.NEGATIVE_INFINITY;
  #waiting: Shared[] = [];
  #lost = 0;
  #isSending = false;

  constructor(options: ElsewhereOptions) {
    const { connection, clock } = options;
    this.#options = options;
    this.#watchChannel = connection.channel("monitor:watch");
    this.#eventChannel = connection.channel("monitor:events");
    connection.subscribe(this.#watchChannel, (watcher) => {
      if (watcher !== null && watcher !== connection.id) this.#watchedUntil = clock.monotonic() + LEASE_MS;
    });
  }

  /** Another daemon is watching. */
  get isWatched(): boolean {
    return this.#options.clock.monotonic() < this.#watchedUntil;
  }

  tell(event: Happening, at: number): void {
    if (!this.isWatched) return;
    if (this.#waiting.length >= MAX_WAITING) this.#lost++;
    else this.#waiting.push({ ...event, at });
    void this.#send();
  }

  /** Has what happens on other daemons reported until it is disposed of. */
  follow(listener: ElsewhereListener): Disposable {
    const { connection, clock } = this.#options;
    let isHeard = false;
    const subscription = connection.subscribe(this.#eventChannel, (message) => {
      const isFirst = !isHeard;
      isHeard = true;
      // So it begins; nothing was to be heard before.
      if (message === null) return isFirst ? undefined : listener.lost(null);
      const { from, events, lost } = JSON.parse(message) as Report;
      if (from === connection.id) return;
      if (lost > 0) listener.lost(lost);
      for (const { at, ...event } of events) listener.happened(event, at);
    });
    let timer: Timer | null = null;
    const say = (): void => {
      void connection.publish(this.#watchChannel, connection.id).catch(() => {});
      timer = clock.after(SAY_EVERY_MS, say);
    };
    say();
    return {
      [Symbol.dispose]: () => {
        timer?.cancel();
        subscription[Symbol.dispose]();
      },
    };
  }

  async #send(): Promise<void> {
    if (this.#isSending) return;
    this.#isSending = true;
    const { connection } = this.#options;
    while (this.#waiting.length > 0) {
      const events = this.#waiting.splice(0, MAX_AT_ONCE);
      const lost = this.#lost;
      this.#lost = 0;
      try {
        await connection.publish(
          this.#eventChannel,
          JSON.stringify({ from: connection.id, events, lost } satisfies Report),
        );
      } catch {
        this.#lost += lost + events.length;
        // Those that wait are tried with the next one.
        break;
      }
    }
    this.#isSending = false;
  }
}
