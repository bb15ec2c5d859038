import type { AssistantError } from "../core/errors.ts";

const FIRST_DELAY_MS = 1_000;
const MAX_DELAY_MS = 300_000;

/** A seventh of a delay is left to chance, so that tasks which failed together do not all come back together. */
const JITTER = 1 / 7;

/** Milliseconds before the next attempt, after `attempts` that failed. `random`: 0–1. */
export function backoffMs(attempts: number, random: number, retryAfterS: number | null = null): number {
  const doubled = Math.min(MAX_DELAY_MS, FIRST_DELAY_MS * 2 ** Math.max(0, attempts - 1));
  return Math.round(Math.max(doubled, (retryAfterS ?? 0) * 1000) * (1 + JITTER * random));
}

/** What becomes of a task whose attempt failed. */
export type Verdict =
  /** The daemon stops: the attempt does not count, and the task is taken up at the next start. */
  { readonly next: "leave" } | { readonly next: "retry"; readonly delayMs: number } | { readonly next: "fail" };

export interface FailedAttempt {
  readonly error: AssistantError;
  /** With this one. */
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

/** What the request itself or its key is to blame for, or the daemon: another model would fail in the same way. */
const SAME_EVERYWHERE: ReadonlySet<string> = new Set([
  "invalid_request",
  "invalid_api_key",
  "shutting_down",
  "internal",
  "disk_full",
]);

/** Whether a fallback model is asked where one failed like this. */
export const mayFallBack = (error: AssistantError): boolean => !SAME_EVERYWHERE.has(error.code);
