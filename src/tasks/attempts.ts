import type { AssistantError } from "../core/errors.ts";

const FIRST_DELAY_MS = 1_000;
const MAX_DELAY_MS = 300_000;

/** A seventh of a delay is random, so that tasks which failed together are not retried together. */
const JITTER = 1 / 7;

/** Milliseconds before the next attempt, after `attempts` failures. `random`: 0–1. */
export function backoffMs(attempts: number, random: number, retryAfterS: number | null = null): number {
  const doubled = Math.min(MAX_DELAY_MS, FIRST_DELAY_MS * 2 ** Math.max(0, attempts - 1));
  return Math.round(Math.max(doubled, (retryAfterS ?? 0) * 1000) * (1 + JITTER * random));
}

/** The verdict on a task whose attempt failed. */
export type Verdict =
  /** The daemon is stopping: the attempt does not count, and the task resumes at the next start. */
  { readonly next: "leave" } | { readonly next: "retry"; readonly delayMs: number } | { readonly next: "fail" };

export interface FailedAttempt {
  readonly error: AssistantError;
  /** Including this one. */
  readonly attempts: number;
  readonly maxAttempts: number;
  readonly isStopping: boolean;
  readonly random: number;
}

export function verdictOf({ error, attempts, maxAttempts, isStopping, random }: FailedAttempt): Verdict {
  if (isStopping) return { next: "leave" };
  if (!error.retryable || attempts >= maxAttempts) return { next: "fail" };
  return { next: "retry", delayMs: backoffMs(attempts, random, error.retryAfterS) };
}

/** Errors caused by the request, its key or the daemon: another model would fail in the same way. */
const SAME_EVERYWHERE: ReadonlySet<string> = new Set([
  "invalid_request",
  "invalid_api_key",
  "shutting_down",
  "internal",
  "disk_full",
]);

/** Whether a fallback model is used after a failure like this. */
export const mayFallBack = (error: AssistantError): boolean => !SAME_EVERYWHERE.has(error.code);
