import type { SlotProgress } from "../core/probe.ts";

/** The current generation speed of an engine, from the progress of its slots between two checks. */
export class DecodeRate {
  #at: number | null = null;
  #slots = new Map<number, SlotProgress>();

  /**
   * Tokens per second since the last check, `at` in milliseconds of a monotonic clock; 0: no slot is generating. The
   * first check has nothing to compare with.
   */
  look(at: number, slots: readonly SlotProgress[]): number {
    const tookMs = this.#at === null ? 0 : at - this.#at;
    let tokens = 0;
    for (const slot of slots) if (slot.busy) tokens += this.#since(slot);
    this.#at = at;
    this.#slots = new Map(slots.map((slot) => [slot.id, slot]));
    return tookMs > 0 ? (tokens / tookMs) * 1000 : 0;
  }

  /** A lower count than before, or another request's, started at 0 in between. */
  #since({ id, task, tokensDecoded }: SlotProgress): number {
    const before = this.#slots.get(id);
    const goesOn = before?.busy === true && before.task === task && before.tokensDecoded <= tokensDecoded;
    return goesOn ? tokensDecoded - before.tokensDecoded : tokensDecoded;
  }
}
