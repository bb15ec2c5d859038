import { expect, test } from "vitest";
import { AssistantError, type ErrorCode } from "../../../src/core/errors.ts";
import { backoffMs, mayFallBack, verdictOf } from "../../../src/tasks/attempts.ts";

const failed = (code: ErrorCode, more: Partial<Parameters<typeof verdictOf>[0]> = {}) =>
  verdictOf({
    error: new AssistantError(code, "It failed."),
    attempts: 1,
    maxAttempts: 3,
    isStopping: false,
    random: 0,
    ...more,
  });

test("each delay is twice the one before, up to five minutes", () => {
  expect([1, 2, 3, 4].map((attempts) => backoffMs(attempts, 0))).toEqual([1_000, 2_000, 4_000, 8_000]);
  expect(backoffMs(40, 0)).toBe(300_000);
});

test("a seventh of a delay is left to chance", () => {
  expect(backoffMs(1, 1)).toBe(Math.round(1_000 * (8 / 7)));
});

test("a server that asks for more time gets it", () => {
  expect(backoffMs(1, 0, 30)).toBe(30_000);
});

test.each(["engine_lost", "queue_full", "provider_timeout", "node_unavailable"] as const)(
  "%s is tried again while attempts are left",
  (code) => {
    expect(failed(code)).toEqual({ next: "retry", delayMs: 1_000 });
    expect(failed(code, { attempts: 3 })).toEqual({ next: "fail" });
  },
);

test.each(["invalid_request", "model_not_found", "context_length_exceeded", "output_invalid"] as const)(
  "%s fails at once",
  (code) => {
    expect(failed(code)).toEqual({ next: "fail" });
  },
);

test("whatever fails while the daemon stops is left for the next start", () => {
  expect(failed("invalid_request", { isStopping: true })).toEqual({ next: "leave" });
});

test("a fallback is asked unless the request itself is to blame", () => {
  const asked = (code: ErrorCode): boolean => mayFallBack(new AssistantError(code, "It failed."));
  expect(["model_failed", "context_length_exceeded", "output_invalid"].map((code) => asked(code as ErrorCode))).toEqual(
    [true, true, true],
  );
  expect(["invalid_request", "shutting_down"].map((code) => asked(code as ErrorCode))).toEqual([false, false]);
});
