/** Steps of one kind (so many slots decoding, so many prompts among them), timed with all threads and with one. */
interface Timing {
  /** Moving averages in milliseconds; null before the first step. */
  all: number | null;
  one: number | null;
  /** The quickest step with all threads, forgotten slowly. */
  best: number;
}

const MIN_HOLD_MS = 500;
const MAX_HOLD_MS = 8000;
const CALM_MS = 2000;
/** Steps with one thread at the very start, so that there is something to compare with. */
const FIRST_STEPS = 4;

/**
 * Keeps the threads of an evaluation from waiting for each other needlessly. They spin at every barrier, hundreds of
 * times per token; when another program takes one of their cores, the rest spin until it is returned, and two threads
 * become twenty times slower than one. So the engine measures its steps, continues with one thread if more are slower,
 * and tries again after a while.
 */
export class ThreadGovernor {
  readonly #most: number;
  readonly #apply: (threads: number) => void;
  readonly #timings = new Map<string, Timing>();
  #single: boolean;
  #stepsLeft = FIRST_STEPS;
  #until = 0;
  #hold = MIN_HOLD_MS;
  #changedAt = 0;

  constructor(most: number, apply: (threads: number) => void) {
    this.#most = most;
    this.#apply = apply;
    this.#single = most > 1;
    if (this.#single) apply(1);
  }

  get threads(): number {
    return this.#single ? 1 : this.#most;
  }

  /** Records that a step took `ms`. `kind` groups comparable steps; `now` is monotonic milliseconds. */
  observe(kind: string, ms: number, now: number): void {
    if (this.#most === 1) return;
    const timing = this.#timings.get(kind) ?? { all: null, one: null, best: Number.POSITIVE_INFINITY };
    this.#timings.set(kind, timing);
    if (this.#single) this.#observeOne(timing, ms, now);
    else this.#observeAll(timing, ms, now);
  }

  #observeOne(timing: Timing, ms: number, now: number): void {
    timing.one = average(timing.one, ms);
    this.#stepsLeft--;
    if (this.#stepsLeft > 0 || now < this.#until) return;
    for (const each of this.#timings.values()) each.all = null;
    this.#use(this.#most, now);
  }

  #observeAll(timing: Timing, ms: number, now: number): void {
    timing.all = average(timing.all, ms);
    timing.best = Math.min(timing.best * 1.01, ms);
    const slower = timing.one === null ? timing.all > 4 * timing.best : timing.all > 1.2 * timing.one;
    if (slower) {
      this.#until = now + this.#hold;
      this.#hold = Math.min(this.#hold * 2, MAX_HOLD_MS);
      this.#use(1, now);
    } else if (now - this.#changedAt > CALM_MS) {
      this.#hold = MIN_HOLD_MS;
    }
  }

  #use(threads: number, now: number): void {
    this.#single = threads === 1;
    this.#changedAt = now;
    this.#apply(threads);
  }
}

const average = (before: number | null, ms: number): number => (before === null ? ms : before * 0.7 + ms * 0.3);
