import type { Cancellation } from "./cancellation.ts";
import type { CapabilityQuery } from "./capability-query.ts";
import type { ErrorCode } from "./errors.ts";
import type { Waiting } from "./inference.ts";

export type { Waiting };

import type { Upstream } from "./upstream.ts";

/** One boundary of a prompt: everything up to here hashes to `hash` and is about `tokens` tokens long. */
export interface PrefixMark {
  readonly hash: string;
  readonly tokens: number;
}

/** A prompt as the scheduler sees it: about how long, and which prefixes it shares with others. */
export interface PromptFacts {
  /** Estimated prompt length, tokens. */
  readonly promptTokens: number;
  /** Prefix boundaries, shortest first. */
  readonly prefix: readonly PrefixMark[];
}

/** What the scheduler knows of a request. The body stays with the inference core. */
export interface RequestFacts extends PromptFacts {
  readonly id: string;
  /** Canonical model name, aliases already resolved. */
  readonly model: string;
  readonly tenant: string;
  /** 0–100, higher first. */
  readonly priority: number;
  /** Most tokens the answer may have; an estimate where the client set no limit. */
  readonly maxTokens: number;
  /** Milliseconds of the steady clock after which an answer is of no use, or null. */
  readonly deadlineAt: number | null;
  /** Ids of the daemons that have forwarded it, first to last; none where it came from a client. */
  readonly hops?: readonly string[];
  /** Workers and nodes that do not offer these get no part of it. Missing: any may serve it. */
  readonly capabilities?: CapabilityQuery;
  /** Only the target that this is a reservation of may take it; missing: any. */
  readonly reservation?: string;
  /** The model's program answers it without computing: it takes none of an instance's slots. */
  readonly slotless?: true;
}

/** How a request ended, as read from the engine's final chunk. Counts are null where the engine did not tell. */
export interface RequestOutcome {
  readonly end: "complete" | "cancelled" | "engine-error" | "client-error";
  readonly promptTokens: number | null;
  readonly cachedTokens: number | null;
  readonly completionTokens: number | null;
  readonly promptMs: number | null;
  readonly completionMs: number | null;
  /** The target is of no use for some time; missing: nothing says so. */
  readonly pause?: Pause;
}

/** For how long a target is not to be sent requests for the model, and why. */
export interface Pause {
  readonly ms: number;
  readonly code: ErrorCode;
  readonly message: string;
  readonly remedy: string | null;
}

/**
 * The log line of a finished request. Flat, without secrets. Times in milliseconds; null: it did not come to that, or
 * nobody knows.
 */
export interface FinishedRequest {
  readonly id: string;
  /** The client's own id for it; missing: it has none. */
  readonly clientId?: string;
  readonly route: string;
  readonly model: string | null;
  readonly instance: string | null;
  readonly tenant: string;
  /** Null where the client had left. */
  readonly status: number | null;
  readonly queueMs: number | null;
  readonly ttftMs: number | null;
  readonly totalMs: number | null;
  readonly promptTokens: number | null;
  readonly cachedTokens: number | null;
  readonly completionTokens: number | null;
  /** Characters that were spoken; missing where nothing was to be spoken. */
  readonly characters?: number;
  /** Seconds of sound that were made or heard; missing where there was none, or nobody knows. */
  readonly audioSeconds?: number;
  /** What was asked for. */
  readonly operation?: string;
  /** Who ran the model, in OpenTelemetry's words. */
  readonly system?: string;
  /** Whether the answer was a stream. */
  readonly stream?: boolean;
  /** As the engine measured them. */
  readonly promptMs?: number | null;
  readonly completionMs?: number | null;
  /** Why the answer ended, as the engine says. */
  readonly finish?: string | null;
  /** Over all models that were asked; missing: one. */
  readonly attempts?: number;
  /** Missing: it is part of no trace. */
  readonly traceId?: string;
  /** `rejected`: it never had a slot. */
  readonly end: RequestOutcome["end"] | "rejected";
  /** Of the error catalogue; missing where there was no error. */
  readonly code?: string;
}

/** A place on a target, held by one request. Gives itself back: dispose it on every path. */
export interface Lease extends Disposable {
  readonly requestId: string;
  /** An instance's id; `remote:NAME` where another machine serves it. */
  readonly targetId: string;
  readonly model: string;
  /** The way to the target. */
  readonly upstream: Upstream;
  /** Milliseconds between arrival and dispatch. */
  readonly queuedMs: number;
  /**
   * The first byte of the answer has arrived. Of an answer that comes in one piece, `finish` with `complete` says so.
   */
  firstToken(): void;
  /** States the outcome and gives the slot back. Disposing without it counts as cancelled. Later calls do nothing. */
  finish(outcome: RequestOutcome): void;
  /** Cancelled when the instance dies or is stopped under the request, with the reason. */
  readonly lost: Cancellation;
}

/** The only way to a target. */
export interface Dispatcher {
  /**
   * Waits for a slot. Rejects with an AssistantError (`queue_full`, `model_failed`, `shutting_down`,
   * `deadline_exceeded`, …), or with the reason once `cancellation` is cancelled, whose listener it is until it
   * settles; a request that is cancelled in the queue causes no start and no dispatch.
   * `onWaiting` is told what the wait is for, so that a long one can be made visible.
   */
  acquire(facts: RequestFacts, cancellation: Cancellation, onWaiting?: (wait: Waiting) => void): Promise<Lease>;
  /** Models that could all serve a request, the one that suits it best now first. Missing: as they are given. */
  prefer?(models: readonly string[], prompt: PromptFacts): readonly string[];
}

/** Where a request stands that has not ended yet. */
export interface RequestProgress {
  readonly model: string;
  readonly tenant: string;
  /** Since its arrival, milliseconds. */
  readonly ageMs: number;
  /** Null once it runs. */
  readonly wait: Waiting | null;
  /** Null while it waits; `remote:NAME` where another machine serves it. */
  readonly instanceId: string | null;
  /** The first byte of its answer has come. */
  readonly answering: boolean;
}
