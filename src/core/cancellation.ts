/**
 * Tells one listener, once, that something is of no use any more. Every request has two (its client leaves, its
 * instance is lost) and hardly any comes true; an AbortSignal for each would cost more than the scheduler's decision.
 */
export class Cancellation {
  #reason: Error | null = null;
  /** Called once, when it happens. The steps of a request follow each other: who sets it takes it away again. */
  onCancel: ((reason: Error) => void) | null = null;

  get cancelled(): boolean {
    return this.#reason !== null;
  }
  /** Null while nothing has happened. */
  get reason(): Error | null {
    return this.#reason;
  }

  /** Later calls do nothing. */
  cancel(reason: Error): void {
    if (this.#reason !== null) return;
    this.#reason = reason;
    this.onCancel?.(reason);
  }
}
