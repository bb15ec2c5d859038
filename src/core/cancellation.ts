/**
 * Notifies one listener, once, that something is no longer needed. Every request has two (for its client's disconnect
 * and the loss of its instance), and they are rarely triggered; an AbortSignal for each would cost more than the
 * scheduler's decision.
 */
export class Cancellation {
  #reason: Error | null = null;
  /** Called once, when it happens. Set by one step of a request at a time, which removes it again. */
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
