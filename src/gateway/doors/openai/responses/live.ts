import { randomUUID } from "node:crypto";
import type { Growing, Mirror } from "../../../../tasks/relay.ts";
import type { ResponseAnswer } from "./answer.ts";

const IDLE_MS = 15_000;
/** Size of a message to another daemon; a longer event is sent alone. */
const MAX_MESSAGE_CHARACTERS = 64 * 1024;

/** The events of a background response, for its followers. */
export class Live {
  /** By their sequence number. */
  readonly events: string[] = [];
  /** Resolves when there will be no more. */
  readonly over: Promise<void>;
  /** Null: it has not started. */
  answer: ResponseAnswer | null = null;
  tenant: string | null = null;
  readonly #watchers = new Set<() => void>();
  readonly #resolve: () => void;
  readonly #forget: () => void;
  readonly #grown: () => void;
  #attempt = "";
  #isOver = false;
  #followers = 0;

  /** `grown` is called for each event, and at the end, after `forget`. */
  constructor(forget: () => void, grown: () => void) {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.over = promise;
    this.#resolve = resolve;
    this.#forget = forget;
    this.#grown = grown;
  }

  get isOver(): boolean {
    return this.#isOver;
  }

  /**
   * It is generated from the beginning: events of an earlier daemon are void, except for those that are always first.
   */
  begin(tenant: string, answer: ResponseAnswer): void {
    this.tenant = tenant;
    this.answer = answer;
    this.#attempt = randomUUID();
    this.events.length = 0;
  }

  /** For daemons that follow it; null: it is not generated here. */
  get growing(): Growing | null {
    const { events } = this;
    if (this.answer === null) return null;
    return {
      attempt: this.#attempt,
      get length() {
        return events.length;
      },
      slice(from) {
        let next = from;
        for (let size = 0; next < events.length && (size === 0 || size < MAX_MESSAGE_CHARACTERS); next++)
          size += events[next]?.length ?? 0;
        return { parts: events.slice(from, next), next };
      },
    };
  }

  /** Shows another daemon's response. */
  get mirror(): Mirror {
    const isHere = (): boolean => this.answer !== null;
    return {
      get isHere() {
        return isHere();
      },
      begin: () => {
        this.events.length = 0;
      },
      take: (events) => {
        for (const event of events) this.push(event);
      },
      end: () => this.end(),
      // Followers check its status from time to time.
      lost: () => {},
    };
  }

  push(event: string): void {
    this.events.push(event);
    for (const watch of this.#watchers) watch();
    this.#grown();
  }

  /** There will be no more from this daemon. */
  end(): void {
    this.#isOver = true;
    this.#forget();
    this.#grown();
    for (const watch of this.#watchers) watch();
    this.#resolve();
  }

  /** Its events from a number on, including future ones. `isLost` is called if nothing has arrived for a while. */
  async *follow(from: number, isLost: () => Promise<boolean>): AsyncGenerator<string> {
    this.#followers++;
    try {
      for (let next = from; ; ) {
        while (next < this.events.length) yield this.events[next++] as string;
        if (this.#isOver) return;
        if (await this.#changed()) continue;
        if (await isLost()) return;
        yield ": waiting\n\n";
      }
    } finally {
      this.#followers--;
      if (this.#followers === 0 && this.answer === null) this.#forget();
    }
  }

  /** False: nothing has happened for a while. */
  async #changed(): Promise<boolean> {
    const { promise, resolve } = Promise.withResolvers<boolean>();
    const watch = (): void => resolve(true);
    const timer = setTimeout(() => resolve(false), IDLE_MS);
    this.#watchers.add(watch);
    try {
      return await promise;
    } finally {
      clearTimeout(timer);
      this.#watchers.delete(watch);
    }
  }
}
