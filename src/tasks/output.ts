import { randomUUID } from "node:crypto";
import type { Mutable } from "../core/mutable.ts";
import type { Growing, Mirror } from "./relay.ts";

/** Of a message to another daemon. */
const MAX_MESSAGE_CHARACTERS = 64 * 1024;

/** What the running tasks have answered so far, and who waits for a change of a task. */
export class Outputs {
  readonly #running = new Map<string, Output>();
  /** Of tasks that run on other daemons and are followed here. */
  readonly #elsewhere = new Map<string, Mutable<Output>>();
  readonly #changed: (taskId: string, output: Output | null) => void;
  readonly #waiting = new Map<string, Set<() => void>>();

  /** `changed` is called with each piece of an output, and with null at its end. */
  constructor(changed: (taskId: string, output: Output | null) => void = () => {}) {
    this.#changed = changed;
  }

  /** Of the attempt that runs now; null: none does. */
  get(taskId: string): Output | null {
    return this.#running.get(taskId) ?? this.#elsewhere.get(taskId) ?? null;
  }

  /** The same for daemons that follow it, unless they run the task. */
  growing(taskId: string): Growing | null {
    const output = this.#running.get(taskId);
    return output === undefined ? null : growingOf(output);
  }

  /** An attempt begins, maybe after another one whose output is void. */
  begin(taskId: string): { append(text: string): void } {
    const output = newOutput();
    this.#running.set(taskId, output);
    this.#elsewhere.delete(taskId);
    this.touch(taskId);
    return {
      append: (text) => {
        output.text += text;
        output.pieces += 1;
        this.#changed(taskId, output);
        this.touch(taskId);
      },
    };
  }

  /** No attempt runs any longer. */
  end(taskId: string): void {
    this.#running.delete(taskId);
    this.#changed(taskId, null);
    this.touch(taskId);
  }

  /** Shows what another daemon's attempt answers. */
  mirror(taskId: string): Mirror {
    const running = this.#running;
    const end = (): void => {
      if (this.#elsewhere.delete(taskId)) this.touch(taskId);
    };
    return {
      get isHere() {
        return running.has(taskId);
      },
      begin: () => {
        this.#elsewhere.set(taskId, newOutput());
        this.touch(taskId);
      },
      take: (parts) => {
        const output = this.#elsewhere.get(taskId);
        if (output === undefined) return;
        output.text += parts.join("");
        this.touch(taskId);
      },
      end,
      lost: end,
    };
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

const growingOf = (output: Output): Growing => ({
  attempt: output.attempt,
  get length() {
    return output.text.length;
  },
  slice: (from) => {
    const text = output.text.slice(from, from + MAX_MESSAGE_CHARACTERS);
    return { parts: [text], next: from + text.length };
  },
});

/** Grows at its end alone. */
export interface Output {
  /** Id of the attempt, or of the part of one, that it comes from. */
  readonly attempt: string;
  readonly text: string;
  /** In how many it came: one for each token, where the model's server sends them one by one. */
  readonly pieces: number;
}

const newOutput = (): Mutable<Output> => ({ attempt: randomUUID(), text: "", pieces: 0 });
