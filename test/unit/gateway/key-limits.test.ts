import fc from "fast-check";
import { expect, test } from "vitest";
import type { ApiKey } from "../../../src/core/config.ts";
import { isAssistantError } from "../../../src/core/errors.ts";
import { KeyLimits } from "../../../src/gateway/front/key-limits.ts";

const key = (limits: Partial<ApiKey>, sha256 = "a"): ApiKey => ({ name: "anna", sha256, ...limits });

/** Limits with a clock of their own. */
function limits(): { readonly limits: KeyLimits; pass(ms: number): void; readonly now: () => number } {
  let now = 1_000_000;
  return {
    limits: new KeyLimits({ now: () => now }),
    now: () => now,
    pass: (ms) => {
      now += ms;
    },
  };
}

/** The seconds of Retry-After, or null where the request was let in. */
function refusal(run: () => unknown): number | null {
  try {
    run();
    return null;
  } catch (error) {
    if (!isAssistantError(error) || error.code !== "rate_limit_exceeded") throw error;
    return error.retryAfterS;
  }
}

test("a key without limits is not counted", () => {
  const { limits: none } = limits();
  expect([none.admit(null), none.admit(key({}))]).toEqual([null, null]);
});

test("requests at once are counted until they end, whether they wait or run", () => {
  const { limits: two, pass } = limits();
  const anna = key({ maxInFlight: 2 });
  const first = two.admit(anna);
  two.admit(anna);
  expect(refusal(() => two.admit(anna))).toBe(1);
  pass(8_000);
  first?.();
  expect(refusal(() => two.admit(anna))).toBeNull();
  // They took eight seconds lately, and two are under way.
  expect(refusal(() => two.admit(anna))).toBe(4);
});

test("a refused request counts against no limit", () => {
  const { limits: both, pass } = limits();
  const anna = key({ maxInFlight: 1, requestsPerMinute: 2 });
  const first = both.admit(anna);
  for (let count = 0; count < 10; count++) expect(refusal(() => both.admit(anna))).not.toBeNull();
  first?.();
  both.admit(anna)?.();
  expect(refusal(() => both.admit(anna))).toBe(60);
  pass(60_000);
  expect(refusal(() => both.admit(anna))).toBeNull();
});

test("in no minute do more requests begin than the limit says, and Retry-After is when the next one may", () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 8 }),
      fc.array(fc.integer({ min: 0, max: 30_000 }), { maxLength: 80 }),
      (most, pauses) => {
        const { limits: some, pass, now } = limits();
        const anna = key({ requestsPerMinute: most });
        const begun: number[] = [];
        for (const pause of pauses) {
          pass(pause);
          const recent = begun.filter((at) => at > now() - 60_000);
          const wait = refusal(() => some.admit(anna));
          expect(wait === null).toBe(recent.length < most);
          if (wait === null) begun.push(now());
          else expect(wait).toBe(Math.max(1, Math.ceil(((recent[0] ?? 0) + 60_000 - now()) / 1_000)));
        }
      },
    ),
  );
});

test("a reload that changes a limit forgets nothing of the last minute", () => {
  const { limits: some, pass } = limits();
  for (let count = 0; count < 3; count++) {
    some.admit(key({ requestsPerMinute: 5 }));
    pass(1_000);
  }
  expect(refusal(() => some.admit(key({ requestsPerMinute: 3 })))).toBe(57);
  expect(refusal(() => some.admit(key({ requestsPerMinute: 4 })))).toBeNull();
  expect(refusal(() => some.admit(key({ requestsPerMinute: 4 })))).toBe(57);
});

test("two keys of one name have a limit each", () => {
  const { limits: some } = limits();
  some.admit(key({ maxInFlight: 1 }, "old"));
  expect(refusal(() => some.admit(key({ maxInFlight: 1 }, "new")))).toBeNull();
});
