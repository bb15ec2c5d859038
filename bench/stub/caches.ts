import { commonPrefix } from "./text.ts";

/** A state that a slot or the host cache holds. */
export interface Held {
  readonly text: Buffer;
  readonly tokens: number;
}

const nothing: Held = { text: Buffer.alloc(0), tokens: 0 };

export interface CacheSlot {
  readonly id: number;
  busy: boolean;
  held: Held;
  lastUsed: number;
}

/** Below this share of the prompt a common beginning does not decide which slot is taken. */
const SIMILAR = 0.1;
/** A slot that would lose more than this share of what it holds gives it to the host cache first. */
const WORTH_KEEPING = 0.5;

/** The slots of an engine and its host cache, chosen and filled as llama-server does. */
export class SlotCaches {
  readonly slots: CacheSlot[];
  readonly #hostTokens: number;
  /** Oldest first. */
  #host: Held[] = [];
  #uses = 0;

  constructor(slots: number, hostTokens: number) {
    this.slots = Array.from({ length: slots }, (_, id) => ({ id, busy: false, held: nothing, lastUsed: 0 }));
    this.#hostTokens = hostTokens;
  }

  get hostTokens(): number {
    return this.#host.reduce((sum, { tokens }) => sum + tokens, 0);
  }

  /** Takes the slot that is asked for, or the most similar, or the one unused for longest (the last of those never used); null while none is free. With it the bytes of the prompt it holds. */
  take(prompt: Buffer, wanted: number | null, reuse: boolean): { readonly slot: CacheSlot; readonly bytes: number } | null {
    const free = this.slots.filter((slot) => !slot.busy && (wanted === null || slot.id === wanted));
    let best: CacheSlot | undefined;
    let bytes = 0;
    for (const slot of reuse ? free : []) {
      const common = commonPrefix(slot.held.text, prompt);
      if (common > bytes) [best, bytes] = [slot, common];
    }
    if (best === undefined || bytes < SIMILAR * prompt.length) {
      best = free.toSorted((a, b) => a.lastUsed - b.lastUsed || b.id - a.id)[0];
      if (best === undefined) return null;
      bytes = reuse ? commonPrefix(best.held.text, prompt) : 0;
    }
    if (bytes < WORTH_KEEPING * best.held.text.length) bytes = Math.max(bytes, this.#exchange(best, prompt, bytes, reuse));
    best.busy = true;
    best.held = nothing;
    return { slot: best, bytes };
  }

  give(slot: CacheSlot, held: Held): void {
    slot.busy = false;
    slot.held = held;
    slot.lastUsed = ++this.#uses;
  }

  /** Keeps what the slot holds and looks whether the host cache has more of the prompt. */
  #exchange(slot: CacheSlot, prompt: Buffer, bytes: number, reuse: boolean): number {
    let found = -1;
    let most = bytes;
    for (const [index, { text }] of reuse ? this.#host.entries() : []) {
      const common = commonPrefix(text, prompt);
      if (common > most) [found, most] = [index, common];
    }
    if (found >= 0) this.#host.splice(found, 1);
    if (slot.held.tokens > 0 && slot.held.tokens <= this.#hostTokens) {
      this.#host.push(slot.held);
      while (this.hostTokens > this.#hostTokens) this.#host.shift();
    }
    return most;
  }
}
