import { randomUUID } from "node:crypto";
import type { Mutable } from "../core/mutable.ts";
import type { Growing, Mirror } from "./relay.ts";

/** Size of a message to another daemon. */
const MAX_MESSAGE_CHARACTERS = 64 * 1024;

/** The output of running tasks so far, and the waits for changes of a task. */
export class Outputs {
  readonly #running = new Map<string, Output>();
  /** Output of tasks that run on other daemons and are followed here. */
  readonly #elsewhere = new Map<string, Mutable<Output>>();
  readonly #changed: (taskId: string, output: Output | null) => void;
  readonly #waiting = new Map<string, Set<() => void>>();

  /** `changed` is called with each piece of an output, and with null at its end. */
  constructor(changed: (taskId: string, output: Output | null) => void = () => {}) {
    this.#changed = changed;
  }

  /** Output of the running attempt; null: none is running. */
  get(taskId: string): Output | null {
    return this.#running.get(taskId) ?? this.#elsewhere.get(taskId) ?? null;
  }

  /** The same for daemons that follow it without running the task. */
  growing(taskId: string): Growing | null {
    const output = this.#running.get(taskId);
    return output === undefined ? null : growingOf(output);
  }

  /** An attempt starts; the output of an earlier one is void. */
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

  /** No attempt is running any more. */
  end(taskId: string): void {
    this.#running.delete(taskId);
    this.#changed(taskId, null);
    this.touch(taskId);
  }

  /** Shows the output of another daemon's attempt. */
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

  /** The task has changed. */
  touch(taskId: string): void {
    for (const wake of this.#waiting.get(taskId) ?? []) wake();
  }

  /** Wakes all waits. */
  touchAll(): void {
    for (const taskId of [...this.#waiting.keys()]) this.touch(taskId);
  }

  /** Waits for the next change of the task. Create it before reading the task, and dispose of it. */
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

/** Only grows at its end. */
export interface Output {
  /** Id of the attempt, or of the part of one, that it comes from. */
  readonly attempt: string;
  readonly text: string;
  /** Number of pieces: one for each token if the model's server sends them one by one. */
  readonly pieces: number;
}

const newOutput = (): Mutable<Output> => ({ attempt: randomUUID(), text: "", pieces: 0 });
