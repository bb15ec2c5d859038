import type { RequestOutcome } from "../core/request.ts";

/** Successive answers without a token, after which an engine must prove that it still produces any. */
const COMPLAINTS_BEFORE_A_LOOK = 3;

/**
 * Counts the outcomes of each instance's requests. One failure may be the request's own fault, and a client may just be
 * impatient; several in a row without a single token warrant a check of the engine.
 */
export class FailureDetector {
  readonly #inARow = new Map<string, number>();
  readonly #suspect: (instanceId: string) => void;

  constructor(suspect: (instanceId: string) => void) {
    this.#suspect = suspect;
  }

  /** `answered`: at least one byte of an answer has come. */
  ended(instanceId: string, end: RequestOutcome["end"], answered: boolean): void {
    const fine = end === "complete" || end === "client-error" || (end === "cancelled" && answered);
    const count = fine ? 0 : (this.#inARow.get(instanceId) ?? 0) + 1;
    if (count === 0) this.#inARow.delete(instanceId);
    else this.#inARow.set(instanceId, count % COMPLAINTS_BEFORE_A_LOOK);
    if (count >= COMPLAINTS_BEFORE_A_LOOK) this.#suspect(instanceId);
  }

  /** A new process has done nothing wrong yet. */
  forget(instanceId: string): void {
    this.#inARow.delete(instanceId);
  }
}
