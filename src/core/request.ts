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

/** The scheduler's view of a request. The body stays with the inference core. */
export interface RequestFacts extends PromptFacts {
  readonly id: string;
  /** Canonical model name, aliases already resolved. */
  readonly model: string;
  readonly tenant: string;
  /** 0–100, higher first. */
  readonly priority: number;
  /** Most tokens the answer may have; an estimate where the client set no limit. */
  readonly maxTokens: number;
  /** Deadline in milliseconds of the monotonic clock, or null. */
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

/** How a request ended, from the engine's final chunk. Counts are null if the engine did not report them. */
export interface RequestOutcome {
  readonly end: "complete" | "cancelled" | "engine-error" | "client-error";
  readonly promptTokens: number | null;
  readonly cachedTokens: number | null;
  readonly completionTokens: number | null;
  readonly promptMs: number | null;
  readonly completionMs: number | null;
  /** The target is unavailable for some time; missing: unknown. */
  readonly pause?: Pause;
}

/** For how long a target is not to be sent requests for the model, and why. */
export interface Pause {
  readonly ms: number;
  readonly code: ErrorCode;
  readonly message: string;
  readonly remedy: string | null;
}

/** The log line of a finished request. Flat, without secrets. Times in milliseconds; null: not reached, or unknown. */
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
  /** Seconds of audio generated or transcribed; missing if none or unknown. */
  readonly audioSeconds?: number;
  /** The requested operation. */
  readonly operation?: string;
  /** The system that ran the model, in OpenTelemetry's terms. */
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
  /** Code of the error catalogue; missing if there was no error. */
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
  /** The first byte of the answer has arrived. For an answer in one piece, `finish` with `complete` reports it. */
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
   * `deadline_exceeded`, …), or with the reason once `cancellation` is cancelled, to which it listens until it settles;
   * a request cancelled in the queue causes no start and no dispatch. `onWaiting` receives what the wait is for, so
   * that a long one can be made visible.
   */
  acquire(facts: RequestFacts, cancellation: Cancellation, onWaiting?: (wait: Waiting) => void): Promise<Lease>;
  /** Models that could all serve a request, the one that suits it best now first. Missing: as they are given. */
  prefer?(models: readonly string[], prompt: PromptFacts): readonly string[];
}

/** The progress of a request that has not ended. */
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
