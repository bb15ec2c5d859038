/** What the running tasks have answered so far, and who waits for a change of a task. */
export class Outputs {
  readonly #running = new Map<string, Output>();
  readonly #grown: (taskId: string, output: Output) => void;
  readonly #waiting = new Map<string, Set<() => void>>();

  /** `grown` is called with each piece of an output. */
  constructor(grown: (taskId: string, output: Output) => void = () => {}) {
    this.#grown = grown;
  }

  /** Of the attempt that runs now; null: none does. */
  get(taskId: string): Output | null {
    return this.#running.get(taskId) ?? null;
  }

  /** An attempt begins, maybe after another one whose output is void. */
  begin(taskId: string): { append(text: string): void } {
    const output = { text: "", pieces: 0 };
    this.#running.set(taskId, output);
    this.touch(taskId);
    return {
      append: (text) => {
        output.text += text;
        output.pieces += 1;
        this.#grown(taskId, output);
        this.touch(taskId);
      },
    };
  }

  /** No attempt runs any longer. */
  end(taskId: string): void {
    this.#running.delete(taskId);
    this.touch(taskId);
  }

  /** Something of the task has changed. */
  touch(taskId: string): void {
    for (const wake of this.#waiting.get(taskId) ?? []) wake();
  }

  /** Wakes everybody who waits. */
  touchAll(): void {
    for (const taskId of [...this.#waiting.keys()]) this.touch(taskId);
  }

  /** For the next change of the task. Ask before looking at the task, and dispose of it. */
  next(taskId: string): { readonly changed: Promise<void> } & Disposable {
    const { promise, resolve } = Promise.withResolvers<void>();
    const waiting = this.#waiting.get(taskId) ?? new Set();
    this.#waiting.set(taskId, waiting.add(resolve));
    return {
      changed: promise,
      [Symbol.dispose]: () => {
        waiting.delete(resolve);
        if (waiting.size === 0 && this.#waiting.get(taskId) === waiting) this.#waiting.delete(taskId);
      },
    };
  }
}

/** Grows at its end alone. */
export interface Output {
  readonly text: string;
  /** In how many it came: one for each token, where the model's server sends them one by one. */
  readonly pieces: number;
}
