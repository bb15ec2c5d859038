import type { Clock, Timer } from "../core/clock.ts";
import type { Collection, CollectionSpec, Store } from "../core/store.ts";

export interface DayStats {
  readonly completed: number;
  readonly failed: number;
  /** Of prompts and answers of those that completed. */
  readonly tokens: number;
  /** From start to end of those that completed. */
  readonly durationMs: number;
}

export const dayCollection: CollectionSpec<DayStats> = { name: "task_days", indexes: {} };

const NOTHING: DayStats = { completed: 0, failed: 0, tokens: 0, durationMs: 0 };
const DAY_MS = 86_400_000;
const DAYS_KEPT = 400;
/** A crash loses as much. */
const SAVE_AFTER_MS = 1_000;
const RETRY_AFTER_MS = 10_000;

const sum = (a: DayStats, b: DayStats): DayStats => ({
  completed: a.completed + b.completed,
  failed: a.failed + b.failed,
  tokens: a.tokens + b.tokens,
  durationMs: a.durationMs + b.durationMs,
});

export interface TaskStatsOptions {
  readonly store: Pick<Store, "collection" | "commit">;
  readonly clock: Clock;
  /** Called when they could not be written, which is tried again. */
  readonly failed: (error: unknown) => void;
}

/** What became of tasks, by day (UTC). Several daemons with one store count together. */
export class TaskStats {
  readonly #options: TaskStatsOptions;
  readonly #days: Collection<DayStats>;
  /** What the store has not got yet, by day. */
  readonly #unsaved = new Map<string, DayStats>();
  #timer: Timer | null = null;
  #saving: Promise<void> = Promise.resolve();

  constructor(options: TaskStatsOptions) {
    this.#options = options;
    this.#days = options.store.collection(dayCollection);
  }

  note(added: Partial<DayStats>): void {
    const day = dayOf(this.#options.clock.now());
    this.#unsaved.set(day, sum(this.#unsaved.get(day) ?? NOTHING, { ...NOTHING, ...added }));
    this.#saveAfter(SAVE_AFTER_MS);
  }

  /** `day`: `YYYY-MM-DD`. */
  async of(day: string): Promise<DayStats> {
    await this.save();
    return sum((await this.#days.get(day))?.value ?? NOTHING, this.#unsaved.get(day) ?? NOTHING);
  }

  /** Writes what is not written. Never rejects. */
  save(): Promise<void> {
    this.#timer?.cancel();
    this.#timer = null;
    this.#saving = this.#saving.then(() => this.#save());
    return this.#saving;
  }

  async #save(): Promise<void> {
    for (const [day, added] of [...this.#unsaved]) {
      this.#unsaved.delete(day);
      try {
        await this.#add(day, added);
      } catch (error) {
        this.#unsaved.set(day, sum(this.#unsaved.get(day) ?? NOTHING, added));
        this.#options.failed(error);
        this.#saveAfter(RETRY_AFTER_MS);
      }
    }
  }

  async #add(day: string, added: DayStats): Promise<void> {
    for (;;) {
      const known = await this.#days.get(day);
      const write = this.#days.put(day, sum(known?.value ?? NOTHING, added), {
        tenant: "",
        expiresAt: Date.parse(day) + DAYS_KEPT * DAY_MS,
        expect: known?.revision ?? 0,
      });
      if ((await this.#options.store.commit([write])).ok) return;
    }
  }

  #saveAfter(delayMs: number): void {
    this.#timer ??= this.#options.clock.after(delayMs, () => void this.save());
  }
}

export const dayOf = (now: number): string => new Date(now).toISOString().slice(0, 10);
