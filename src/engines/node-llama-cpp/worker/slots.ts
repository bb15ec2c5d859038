import type { LlamaContextSequence, Token } from "node-llama-cpp";

/** What a slot is doing, in the numbers that `/slots` shows. */
export interface SlotWork {
  task: number;
  promptTokens: number;
  promptProcessed: number;
  promptCached: number;
  decoded: number;
}

export interface Slot {
  readonly id: number;
  /** Null in an embedding instance, whose slots share one context. */
  readonly sequence: LlamaContextSequence | null;
  busy: boolean;
  lastUsed: number;
  work: SlotWork | null;
  /** The scope of the sequence's prompt, which must not be used for another scope. */
  scope: string;
}

/** A slot in use. Disposing gives it to the longest waiting request. */
export interface HeldSlot extends Disposable {
  readonly slot: Slot;
  readonly work: SlotWork;
  /** Of the request. */
  readonly scope: string;
}

interface Waiter {
  readonly tokens: readonly Token[];
  readonly scope: string;
  readonly give: (slot: Slot) => void;
}

/** The parallel sequences of the instance. Requests beyond them wait in order of arrival. */
export class Slots {
  readonly all: readonly Slot[];
  #waiters: Waiter[] = [];
  #uses = 0;

  constructor(sequences: readonly (LlamaContextSequence | null)[]) {
    this.all = sequences.map((sequence, id) => ({ id, sequence, busy: false, lastUsed: 0, work: null, scope: "" }));
  }

  get waiting(): number {
    return this.#waiters.length;
  }

  /** Slots in use now. */
  get active(): number {
    return this.all.filter((slot) => slot.busy).length;
  }

  /** Waits for a slot; rejects with the signal's reason, and leaves the queue, when it aborts first. */
  acquire(tokens: readonly Token[], signal: AbortSignal, scope = ""): Promise<HeldSlot> {
    return new Promise((resolve, reject) => {
      if (signal.aborted) return reject(signal.reason);
      const leave = (): void => {
        this.#waiters = this.#waiters.filter((other) => other !== waiter);
        reject(signal.reason);
      };
      const waiter: Waiter = {
        tokens,
        scope,
        give: (slot) => {
          signal.removeEventListener("abort", leave);
          resolve(this.#hold(slot, tokens, scope));
        },
      };
      signal.addEventListener("abort", leave, { once: true });
      this.#waiters.push(waiter);
      this.#serve();
    });
  }

  #serve(): void {
    while (this.#waiters.length > 0) {
      const waiter = this.#waiters[0];
      const slot = waiter && bestSlot(this.all, waiter.tokens, waiter.scope);
      if (!waiter || !slot) return;
      this.#waiters.shift();
      slot.busy = true;
      waiter.give(slot);
    }
  }

  #hold(slot: Slot, tokens: readonly Token[], scope: string): HeldSlot {
    const work: SlotWork = {
      task: ++this.#uses,
      promptTokens: tokens.length,
      promptProcessed: 0,
      promptCached: 0,
      decoded: 0,
    };
    slot.work = work;
    let held = true;
    const release = (): void => {
      if (!held) return;
      held = false;
      slot.busy = false;
      slot.lastUsed = ++this.#uses;
      this.#serve();
    };
    return { slot, work, scope, [Symbol.dispose]: release };
  }
}

/**
 * The idle slot whose cached text the prompt continues; otherwise an empty one, otherwise the least recently used one.
 * A slot that shares only a small part of its content (a system prompt, say) is not chosen for that: its conversation
 * would be lost for little.
 */
export function bestSlot(slots: readonly Slot[], tokens: readonly Token[], scope = ""): Slot | null {
  let best: Slot | null = null;
  let bestShared = 0;
  let bestAge = 0;
  for (const slot of slots) {
    if (slot.busy) continue;
    const cached = slot.sequence?.nextTokenIndex ?? 0;
    const common =
      slot.scope === scope ? (slot.sequence?.compareContextTokens(tokens as Token[]).firstDifferentIndex ?? 0) : 0;
    const shared = common * 2 >= cached ? common : 0;
    const age = cached === 0 ? -1 : slot.lastUsed;
    if (best === null || shared > bestShared || (shared === bestShared && age < bestAge)) {
      best = slot;
      bestShared = shared;
      bestAge = age;
    }
  }
  return best;
}
