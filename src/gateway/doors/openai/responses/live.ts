import type { ResponseAnswer } from "./answer.ts";

const IDLE_MS = 15_000;

/** The events of a response that is made in the background, for those who follow it. */
export class Live {
  /** By their sequence number. */
  readonly events: string[] = [];
  /** Resolves when no more will come. */
  readonly over: Promise<void>;
  /** Null: it waits to be made. */
  answer: ResponseAnswer | null = null;
  tenant: string | null = null;
  readonly #watchers = new Set<() => void>();
  readonly #resolve: () => void;
  readonly #forget: () => void;
  #isOver = false;
  #followers = 0;

  constructor(forget: () => void) {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.over = promise;
    this.#resolve = resolve;
    this.#forget = forget;
  }

  get isOver(): boolean {
    return this.#isOver;
  }

  /** Somebody makes it, from its beginning: what an earlier daemon sent of it is void, but for the events that are always first. */
  begin(tenant: string, answer: ResponseAnswer): void {
    this.tenant = tenant;
    this.answer = answer;
    this.events.length = 0;
  }

  push(event: string): void {
    this.events.push(event);
    for (const watch of this.#watchers) watch();
  }

  /** No more will come, of this daemon. */
  end(): void {
    this.#isOver = true;
    this.#forget();
    for (const watch of this.#watchers) watch();
    this.#resolve();
  }

  /** Its events from a number on, those to come as well. `isLost` is asked where nothing has come for a while. */
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
