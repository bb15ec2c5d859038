import type { Knobs } from "./knobs.ts";

export interface Slot {
  readonly id: number;
  busy: boolean;
  /** Words whose state the slot still holds: the prefix cache. */
  cached: readonly string[];
  taskId: number;
  promptTokens: number;
  promptDone: number;
  cacheN: number;
  decoded: number;
  maxTokens: number;
  lastUsed: number;
}

/** One token is one word; good enough for counts that tests can predict. */
export const tokenize = (text: string): string[] => text.split(/\s+/).filter((word) => word !== "");

/** The slots of the engine and the requests that wait for one, first come first served. */
export class SlotPool {
  /** Streams wait after their first token. */
  held = false;
  readonly slots: Slot[];
  /** Prompts that lost their slot, oldest first, and how many there may be. */
  readonly cached: (readonly string[])[] = [];
  readonly #cacheLimit: number;
  #waiting: { wanted: number | null; words: readonly string[]; give: (slot: Slot) => void }[] = [];
  #tasks = 0;

  constructor(count: number, cacheLimit = 0) {
    this.#cacheLimit = cacheLimit;
    this.slots = Array.from({ length: count }, (_, id) => ({
      id,
      busy: false,
      cached: [],
      taskId: -1,
      promptTokens: 0,
      promptDone: 0,
      cacheN: 0,
      decoded: 0,
      maxTokens: 0,
      lastUsed: 0,
    }));
  }

  get queued(): number {
    return this.#waiting.length;
  }

  get active(): number {
    return this.slots.filter((slot) => slot.busy).length;
  }

  /** Waits for a slot; null once `gone` is aborted while waiting. */
  take(words: readonly string[], wanted: number | null, gone: AbortSignal): Promise<Slot | null> {
    const free = this.#choose(words, wanted);
    if (free) return Promise.resolve(this.#occupy(free, words));
    return new Promise((resolve) => {
      const waiter = { wanted, words, give: (slot: Slot) => resolve(this.#occupy(slot, words)) };
      this.#waiting.push(waiter);
      gone.addEventListener("abort", () => {
        this.#waiting = this.#waiting.filter((other) => other !== waiter);
        resolve(null);
      });
    });
  }

  /** The newest first, without what a slot holds. */
  get savable(): (readonly string[])[] {
    return this.cached
      .filter((words) => !this.slots.some((slot) => commonPrefix(slot.cached, words) === words.length))
      .reverse();
  }

  /** Puts a prompt in as the oldest one; false where there is no room. */
  load(words: readonly string[]): boolean {
    if (this.cached.length >= this.#cacheLimit) return false;
    this.cached.unshift(words);
    return true;
  }

  /** What the slot held goes to host memory, and what fits best comes back from there. */
  #swap(slot: Slot, words: readonly string[]): void {
    const keepsMost = slot.cached.length > 0 && commonPrefix(slot.cached, words) * 2 >= slot.cached.length;
    if (this.#cacheLimit === 0 || keepsMost) return;
    if (slot.cached.length > 0) this.cached.push(slot.cached);
    if (this.cached.length > this.#cacheLimit) this.cached.shift();
    const best = this.cached.toSorted((a, b) => commonPrefix(b, words) - commonPrefix(a, words))[0];
    if (best === undefined || commonPrefix(best, words) <= commonPrefix(slot.cached, words)) return;
    this.cached.splice(this.cached.indexOf(best), 1);
    slot.cached = best;
  }

  give(slot: Slot): void {
    slot.busy = false;
    // Of a prompt that was given up only what was evaluated is there for the next.
    slot.cached = slot.cached.slice(0, slot.cacheN + slot.promptDone);
    slot.lastUsed = performance.now();
    const index = this.#waiting.findIndex((waiter) => waiter.wanted === null || waiter.wanted === slot.id);
    if (index >= 0) this.#waiting.splice(index, 1)[0]?.give(slot);
  }

  #choose(words: readonly string[], wanted: number | null): Slot | undefined {
    const free = this.slots.filter((slot) => !slot.busy && (wanted === null || slot.id === wanted));
    return free.sort(
      (a, b) => commonPrefix(b.cached, words) - commonPrefix(a.cached, words) || a.lastUsed - b.lastUsed || a.id - b.id,
    )[0];
  }

  #occupy(slot: Slot, words: readonly string[]): Slot {
    slot.busy = true;
    slot.taskId = this.#tasks++;
    this.#swap(slot, words);
    slot.promptTokens = words.length;
    // At least one token is always evaluated, as in llama-server.
    slot.cacheN = Math.min(commonPrefix(slot.cached, words), Math.max(0, words.length - 1));
    slot.promptDone = 0;
    slot.decoded = 0;
    slot.cached = words;
    return slot;
  }
}

function commonPrefix(a: readonly string[], b: readonly string[]): number {
  let length = 0;
  while (length < a.length && length < b.length && a[length] === b[length]) length++;
  return length;
}

export const describeSlot = (slot: Slot, contextTokens: number): object => ({
  id: slot.id,
  n_ctx: contextTokens,
  speculative: false,
  is_processing: slot.busy,
  id_task: slot.taskId,
  n_prompt_tokens: slot.promptTokens + slot.decoded,
  n_prompt_tokens_processed: slot.promptDone,
  n_prompt_tokens_cache: slot.cacheN,
  params: {},
  next_token: [
    {
      has_next_token: slot.busy,
      has_new_line: false,
      n_remain: slot.busy ? slot.maxTokens - slot.decoded : -1,
      n_decoded: slot.busy ? slot.decoded : 0,
    },
  ],
});

/** Evaluates the prompt in steps of about 50 ms, as micro-batches do. Resolves early when `stop` says so. */
export async function prefill(slot: Slot, knobs: Knobs, stop: () => boolean, onStep: () => void): Promise<void> {
  const total = slot.promptTokens - slot.cacheN;
  const rate = knobs.prefillTokensPerSecond;
  if (rate <= 0) {
    slot.promptDone = total;
    return;
  }
  const step = Math.max(1, Math.round(rate / 20));
  while (slot.promptDone < total && !stop()) {
    const tokens = Math.min(step, total - slot.promptDone);
    await delay((tokens / rate) * 1000);
    slot.promptDone += tokens;
    onStep();
  }
}

export const delay = (ms: number): Promise<void> =>
  new Promise((resolve) => (ms > 0 ? setTimeout(resolve, ms) : setImmediate(resolve)));
