/**
 * A bounded queue from one writer to one reader, in order. The reader takes from it as from any async iterable, once.
 */
export class Channel<T> implements AsyncIterable<T> {
  readonly #capacity: number;
  readonly #values: T[] = [];
  #reader: PromiseWithResolvers<IteratorResult<T, undefined>> | null = null;
  #writer: PromiseWithResolvers<void> | null = null;
  #isEnded = false;
  #isAbandoned = false;
  #failure: Error | null = null;

  constructor(capacity: number) {
    this.#capacity = capacity;
  }

  /** False: the queue is full; wait for `drained` before the next. Values without a reader are dropped. */
  push(value: T): boolean {
    if (this.#isAbandoned || this.#failure !== null) return true;
    const reader = this.#reader;
    if (reader === null) return this.#values.push(value) < this.#capacity;
    this.#reader = null;
    reader.resolve({ value, done: false });
    return true;
  }

  /** Resolves once there is room; rejects where the queue has failed. */
  drained(): Promise<void> {
    if (this.#failure !== null) return Promise.reject(this.#failure);
    if (this.#isAbandoned || this.#values.length < this.#capacity) return Promise.resolve();
    this.#writer ??= Promise.withResolvers();
    return this.#writer.promise;
  }

  /** Nothing more comes. */
  end(): void {
    this.#isEnded = true;
    this.#reader?.resolve(DONE);
    this.#reader = null;
  }

  /** Both sides learn of it at once; values that wait are dropped. */
  fail(error: Error): void {
    this.#failure ??= error;
    this.#values.length = 0;
    this.#reader?.reject(this.#failure);
    this.#writer?.reject(this.#failure);
    this.#reader = null;
    this.#writer = null;
  }

  /** There is no reader any more; the writer is not blocked. */
  abandon(): void {
    this.#isAbandoned = true;
    this.#values.length = 0;
    this.#release();
  }

  [Symbol.asyncIterator](): AsyncIterator<T, undefined> {
    return {
      next: () => this.#next(),
      return: () => {
        this.abandon();
        return Promise.resolve(DONE);
      },
    };
  }

  #next(): Promise<IteratorResult<T, undefined>> {
    if (this.#failure !== null) return Promise.reject(this.#failure);
    if (this.#values.length > 0) {
      const value = this.#values.shift() as T;
      this.#release();
      return Promise.resolve({ value, done: false });
    }
    if (this.#isEnded || this.#isAbandoned) return Promise.resolve(DONE);
    this.#reader ??= Promise.withResolvers();
    return this.#reader.promise;
  }

  #release(): void {
    this.#writer?.resolve();
    this.#writer = null;
  }
}

const DONE = { value: undefined, done: true } as const;
