/** Makes computations that share a context wait for each other. A request that has ended meanwhile computes nothing. */
export class Serial {
  #last: Promise<unknown> = Promise.resolve();

  run<T>(signal: AbortSignal, compute: () => Promise<T>): Promise<T> {
    const result = this.#last.then(() => {
      signal.throwIfAborted();
      return compute();
    });
    this.#last = result.catch(() => undefined);
    return result;
  }
}
