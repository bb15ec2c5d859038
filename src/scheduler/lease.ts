import { Cancellation } from "../core/cancellation.ts";
import type { AssistantError } from "../core/errors.ts";
import type { EngineId } from "../core/model.ts";
import type { Lease, RequestOutcome } from "../core/request.ts";

/** What the gateway needs to reach an instance. */
export interface Endpoint {
  readonly engine: EngineId | "remote";
  readonly socketPath: string;
  readonly noticesDepartedClients: boolean;
  readonly separatesScopes: boolean;
}

export interface LeaseFacts extends Endpoint {
  readonly requestId: string;
  readonly instanceId: string;
  readonly model: string;
  readonly queuedMs: number;
}

/** Where a lease reports to. */
export interface LeaseOwner {
  firstToken(requestId: string): void;
  finished(requestId: string, outcome: RequestOutcome): void;
}

const unknownOutcome: RequestOutcome = { end: "cancelled", promptTokens: null, cachedTokens: null, completionTokens: null, promptMs: null, completionMs: null };

/** A lease that gives itself back exactly once, whichever of `finish`, dispose and the instance's death comes first. */
export class SlotLease implements Lease {
  readonly requestId: string;
  readonly instanceId: string;
  readonly model: string;
  readonly engine: EngineId | "remote";
  readonly socketPath: string;
  readonly noticesDepartedClients: boolean;
  readonly separatesScopes: boolean;
  readonly queuedMs: number;
  readonly #owner: LeaseOwner;
  #open = true;
  #answering = false;
  readonly lost = new Cancellation();

  constructor(owner: LeaseOwner, facts: LeaseFacts) {
    this.#owner = owner;
    this.requestId = facts.requestId;
    this.instanceId = facts.instanceId;
    this.model = facts.model;
    this.engine = facts.engine;
    this.socketPath = facts.socketPath;
    this.noticesDepartedClients = facts.noticesDepartedClients;
    this.separatesScopes = facts.separatesScopes;
    this.queuedMs = facts.queuedMs;
  }

  /** Whether a byte of the answer has come. */
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
    this.finish(unknownOutcome);
  }

  /** For the owner: the slot is gone. The holder hears of it and still disposes the lease. */
  lose(reason: AssistantError): void {
    this.lost.cancel(reason);
  }
}
