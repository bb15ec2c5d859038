import type { ChatRecord } from "assistant/worker";

/** A filter: changes the texts of messages, or of the pieces of an answer. */
export class Shout {
  readonly #mark: string;

  constructor(args: { readonly mark?: string }) {
    this.#mark = args.mark ?? "";
  }

  filter(records: readonly ChatRecord[]): ChatRecord[] {
    return records.map(({ role, msg }) => ({ role, msg: `${msg.toUpperCase()}${this.#mark}` }));
  }
}
