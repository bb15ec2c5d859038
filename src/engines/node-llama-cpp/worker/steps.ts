/**
 * Keeps the slots of an instance in step: a slot with a token waits for the others that are being evaluated. Otherwise
 * its next token is evaluated alone, while the rest are still being sampled, and each step costs two evaluations
 * instead of one.
 */
export class Steps {
  #running = 0;
  #waiting: (() => void)[] = [];

  /** Runs one evaluation; resolves when all that run have ended. */
  async run<T>(evaluate: () => Promise<T>): Promise<T> {
    this.#running++;
    try {
      return await evaluate();
    } finally {
      this.#running--;
      await this.#others();
    }
  }

  #others(): Promise<void> | undefined {
    if (this.#running > 0) return new Promise((resolve) => this.#waiting.push(resolve));
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const resolve of waiting) resolve();
    return undefined;
  }
}
