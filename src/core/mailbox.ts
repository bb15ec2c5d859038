/**
 * An unbounded first-in-first-out inbox with one reader. `next` waits for a message; after `close` it drains what
 * is left and then returns undefined. The owner loop of every stateful thing reads from one of these, so that
 * exactly one piece of code changes its state.
 */
export class Mailbox<Message> {
  #messages: Message[] = [];
  #head = 0;
  #waiting: ((message: Message | undefined) => void) | null = null;
  #closed = false;

  /** Returns false, and drops the message, once the mailbox is closed. */
  post(message: Message): boolean {
    if (this.#closed) return false;
    if (this.#waiting) {
      const wake = this.#waiting;
      this.#waiting = null;
      wake(message);
    } else {
      this.#messages.push(message);
    }
    return true;
  }

  next(): Promise<Message | undefined> {
    if (this.#head < this.#messages.length) {
      const message = this.#messages[this.#head++];
      if (this.#head > 1024 && this.#head * 2 > this.#messages.length) {
        this.#messages = this.#messages.slice(this.#head);
        this.#head = 0;
      }
      return Promise.resolve(message);
    }
    if (this.#closed) return Promise.resolve(undefined);
    if (this.#waiting) throw new Error("a mailbox has one reader");
    return new Promise((resolve) => {
      this.#waiting = resolve;
    });
  }

  close(): void {
    this.#closed = true;
    this.#waiting?.(undefined);
    this.#waiting = null;
  }

  get size(): number {
    return this.#messages.length - this.#head;
  }
}
