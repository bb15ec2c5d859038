import type { SlotProgress } from "../core/probe.ts";

/** How fast an engine generates at the moment, from what its slots have generated between two looks at them. */
export class DecodeRate {
  #at: number | null = null;
  #slots = new Map<number, SlotProgress>();

  /**
   * Tokens per second since the last look, `at` in milliseconds of a monotonic clock; 0: no slot generates. The first
   * look has nothing to compare with.
   */
  look(at: number, slots: readonly SlotProgress[]): number {
    const tookMs = this.#at === null ? 0 : at - this.#at;
    let tokens = 0;
    for (const slot of slots) if (slot.busy) tokens += this.#since(slot);
    this.#at = at;
    this.#slots = new Map(slots.map((slot) => [slot.id, slot]));
    return tookMs > 0 ? (tokens / tookMs) * 1000 : 0;
  }

  /** A count that is lower than before, or of another request, began at 0 meanwhile. */
  #since({ id, task, tokensDecoded }: SlotProgress): number {
    const before = this.#slots.get(id);
    const goesOn = before?.busy === true && before.task === task && before.tokensDecoded <= tokensDecoded;
    return goesOn ? tokensDecoded - before.tokensDecoded : tokensDecoded;
  }
}
