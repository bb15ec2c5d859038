/** One of the requests that are spoken at once. */
export interface SpeechSlot {
  readonly id: number;
  busy: boolean;
  /** Samples so far, of the request that it speaks or has spoken last: what the fleet sees of its progress. */
  samples: number;
  /** Number of that request; 0 before the first. */
  task: number;
}

/** Gives slots to requests, first come first served. */
export class SpeechSlots {
  readonly all: readonly SpeechSlot[];
  readonly #waiting = new Set<(slot: SpeechSlot) => void>();
  #tasks = 0;

  constructor(count: number) {
    this.all = Array.from({ length: count }, (_, id) => ({ id, busy: false, samples: 0, task: 0 }));
  }

  /** Rejects with the signal's reason where it aborts first. Give the slot back on every path. */
  async acquire(signal: AbortSignal): Promise<SpeechSlot> {
    signal.throwIfAborted();
    const free = this.all.find(({ busy }) => !busy) ?? (await this.#next(signal));
    Object.assign(free, { busy: true, samples: 0, task: ++this.#tasks });
    return free;
  }

  release(slot: SpeechSlot): void {
    slot.busy = false;
    const [next] = this.#waiting;
    if (next === undefined) return;
    this.#waiting.delete(next);
    slot.busy = true;
    next(slot);
  }

  #next(signal: AbortSignal): Promise<SpeechSlot> {
    return new Promise((resolve, reject) => {
      const take = (slot: SpeechSlot): void => {
        signal.removeEventListener("abort", leave);
        resolve(slot);
      };
      const leave = (): void => {
        this.#waiting.delete(take);
        reject(signal.reason as Error);
      };
      signal.addEventListener("abort", leave, { once: true });
      this.#waiting.add(take);
    });
  }
}
