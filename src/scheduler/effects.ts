import type { ErrorCode } from "../core/errors.ts";
import type { StartOrder, StopCause } from "../core/fleet.ts";
import type { Waiting } from "../core/request.ts";

/** What an AssistantError is made of; the loop makes the error, because a decision creates no stack traces. */
export interface Refusal {
  readonly code: ErrorCode;
  readonly message: string;
  readonly remedy: string | null;
  /** Seconds, whole, at least 1. */
  readonly retryAfterS: number | null;
}

/**
 * What `decide` wants done, in order. Effects are carried out before the next event is decided, so the state already
 * takes them as done.
 */
export type Effect =
  /** The request has a slot on an instance, by its id, or goes to another node, `remote:NAME`. */
  | { readonly type: "dispatch"; readonly requestId: string; readonly targetId: string; readonly queuedMs: number }
  | { readonly type: "start"; readonly order: StartOrder }
  /** The free memory of the devices is wanted; `devices` answers. */
  | { readonly type: "measure" }
  | { readonly type: "drain"; readonly instanceId: string }
  | { readonly type: "resume"; readonly instanceId: string }
  | { readonly type: "stop"; readonly instanceId: string; readonly cause: StopCause }
  /** A waiting request ends without a slot. */
  | { readonly type: "reject"; readonly requestId: string; readonly refusal: Refusal }
  /** A request that had a slot has lost it: the instance died or was stopped under it. */
  | { readonly type: "lost"; readonly requestId: string; readonly instanceId: string; readonly refusal: Refusal }
  | { readonly type: "waiting"; readonly requestId: string; readonly wait: Waiting };
