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
/** A slot that would lose more than this share of what it holds, or more than these tokens, is saved first. */
const WORTH_KEEPING = 0.5;
const MAX_LOST_TOKENS = 8;
/** Of what the host cache holds at least this share must be of use, or it is not taken out. */
const WORTH_LOADING = 0.25;

/** What a prompt and a held state have in common: bytes, and their share of each. */
interface Match {
  readonly bytes: number;
  readonly similarity: number;
  /** Share of the state that stays; -1 where it is empty: anything is better. */
  readonly keep: number;
}

function match(held: Buffer, prompt: Buffer): Match {
  const bytes = commonPrefix(held, prompt);
  return { bytes, similarity: bytes / prompt.length, keep: held.length === 0 ? -1 : bytes / held.length };
}

const losesMuch = ({ tokens }: Held, keep: number): boolean => tokens * (1 - Math.max(0, keep)) > MAX_LOST_TOKENS;

/**
 * The slots of an engine and its host cache, chosen and filled as llama-server with our patches does
 * (`get_available_slot`, `server_prompt_cache`):
 * idle slots are published to the host cache whenever a request starts, and every request that gets a slot takes what
 * the host cache has that is better. A stock one does not ask it where a slot keeps half of what it holds:
 * conversations with a common beginning lose their own there.
 */
export class SlotCaches {
  slots: CacheSlot[];
  readonly #hostTokens: number;
  /** Oldest first. */
  #host: Held[] = [];
  #uses = 0;

  constructor(slots: number, hostTokens: number) {
    this.slots = Array.from({ length: slots }, (_, id) => ({ id, busy: false, held: nothing, lastUsed: 0 }));
    this.#hostTokens = hostTokens;
  }

  clone(): SlotCaches {
    const caches = new SlotCaches(0, this.#hostTokens);
    caches.slots = this.slots.map((slot) => ({ ...slot }));
    caches.#host = [...this.#host];
    caches.#uses = this.#uses;
    return caches;
  }

  get hostTokens(): number {
    return this.#host.reduce((sum, { tokens }) => sum + tokens, 0);
  }

  /**
   * Takes the slot that is asked for, or the most similar, or the one unused for longest (the last of those never
   * used); null while none is free. With it the bytes of the prompt it holds.
   */
  take(
    prompt: Buffer,
    wanted: number | null,
    reuse: boolean,
  ): { readonly slot: CacheSlot; readonly bytes: number } | null {
    const free = this.slots.filter((slot) => !slot.busy && (wanted === null || slot.id === wanted));
    let best = wanted === null ? undefined : free[0];
    let similar = { similarity: 0, keep: 0 };
    for (const slot of free) {
      const found = match(slot.held.text, prompt);
      if (found.similarity > SIMILAR && found.similarity > similar.similarity) [best, similar] = [slot, found];
    }
    // Without similarity there is nothing to keep.
    best ??= free.toSorted((a, b) => a.lastUsed - b.lastUsed || b.id - a.id)[0];
    if (best === undefined) return null;
    if (similar.keep < WORTH_KEEPING || losesMuch(best.held, similar.keep)) this.#save(best.held);
    best.held = this.#load(best.held, prompt);
    const bytes = reuse ? commonPrefix(best.held.text, prompt) : 0;
    best.busy = true;
    best.held = nothing;
    for (const slot of this.slots) if (!slot.busy) this.#save(slot.held);
    return { slot: best, bytes };
  }

  give(slot: CacheSlot, held: Held): void {
    slot.busy = false;
    slot.held = held;
    slot.lastUsed = ++this.#uses;
  }

  /** A copy; what is a part of it goes, and the oldest as far as room is needed. */
  #save(held: Held): void {
    if (held.tokens === 0 || held.tokens > this.#hostTokens) return;
    if (this.#host.some(({ text }) => commonPrefix(text, held.text) === held.text.length)) return;
    this.#host = this.#host.filter(({ text }) => commonPrefix(text, held.text) < text.length);
    while (this.hostTokens + held.tokens > this.#hostTokens) this.#host.shift();
    this.#host.push(held);
  }

  /**
   * What the host cache has that is better in both respects; else what the slot holds. Taken out of it, but for another
   * conversation's, which will need its end again.
   */
  #load(held: Held, prompt: Buffer): Held {
    let best = match(held.text, prompt);
    let found: Held | null = null;
    for (const entry of this.#host) {
      const here = match(entry.text, prompt);
      if (here.keep >= WORTH_LOADING && here.keep > best.keep && here.similarity > best.similarity)
        [best, found] = [here, entry];
    }
    if (found === null) return held;
    if (!losesMuch(found, best.keep)) this.#host = this.#host.filter((entry) => entry !== found);
    return found;
  }
}
