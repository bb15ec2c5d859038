import { Cancellation } from "../core/cancellation.ts";
import type { Lease, RequestOutcome } from "../core/request.ts";
import type { Upstream } from "../core/upstream.ts";

/** Where a lease reports to. */
export interface LeaseOwner {
  firstToken(requestId: string): void;
  finished(requestId: string, outcome: RequestOutcome): void;
}

export const CANCELLED: RequestOutcome = {
  end: "cancelled",
  promptTokens: null,
  cachedTokens: null,
  completionTokens: null,
  promptMs: null,
  completionMs: null,
};

/** A lease that releases itself exactly once, on `finish`, dispose or the instance's death, whichever comes first. */
export class TargetLease implements Lease {
  readonly requestId: string;
  readonly targetId: string;
  readonly model: string;
  readonly upstream: Upstream;
  readonly queuedMs: number;
  readonly lost = new Cancellation();
  readonly #owner: LeaseOwner;
  #open = true;
  #answering = false;

  constructor(owner: LeaseOwner, facts: Pick<Lease, "requestId" | "targetId" | "model" | "upstream" | "queuedMs">) {
    this.#owner = owner;
    this.requestId = facts.requestId;
    this.targetId = facts.targetId;
    this.model = facts.model;
    this.upstream = facts.upstream;
    this.queuedMs = facts.queuedMs;
  }

  /** Whether a byte of the answer has arrived. */
  get answering(): boolean {
    return this.#answering;
  }

  firstToken(): void {
    if (!this.#open || this.#answering) return;
    this.#answering = true;
    this.#owner.firstToken(this.requestId);
  }

  finish(outcome: RequestOutcome): void {
    if (!this.#open) return;
    this.#open = false;
    this.#owner.finished(this.requestId, outcome);
  }

  [Symbol.dispose](): void {
    this.finish(CANCELLED);
  }
}
