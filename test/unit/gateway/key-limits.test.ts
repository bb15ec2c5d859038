import fc from "fast-check";
import { expect, test } from "vitest";
import type { ApiKey } from "../../../src/core/config.ts";
import { isAssistantError } from "../../../src/core/errors.ts";
import { KeyLimits, type LimitStates } from "../../../src/gateway/front/key-limits.ts";

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

/** Limits whose day is 1970-01-02, an hour before its end. */
function dayLimits(usedToday = { requests: 0, tokens: 0 }) {
  let now = 0;
  let wallNow = 2 * 86_400_000 - 3_600_000;
  return {
    limits: new KeyLimits({ now: () => now, wallNow: () => wallNow, usedToday: () => usedToday }),
    pass: (ms: number) => {
      now += ms;
      wallNow += ms;
    },
  };
}

test("tokens count when they are known, whichever way the request came, and drain within a minute", () => {
  const { limits: own, pass } = dayLimits();
  const anna = key({ account: "anna", tokensPerMinute: 600 });
  const ended = own.admit(anna);
  own.count("anna", 1_200);
  ended?.();
  // Twice the limit: half of it is free in a minute and a half… of 10 a second.
  expect(refusal(() => own.admit(anna))).toBe(61);
  pass(61_000);
  expect(refusal(() => own.admit(anna))).toBeNull();
  own.count("nobody", 1_000);
});

test("requests that run count as those of the key did lately, so that a burst does not pass", () => {
  const { limits: own } = dayLimits();
  const anna = key({ account: "anna", tokensPerMinute: 1_000 });
  own.admit(anna)?.();
  own.count("anna", 400);
  const statuses = Array.from({ length: 3 }, () => refusal(() => own.admit(anna)));
  expect(statuses.map((wait) => wait === null)).toEqual([true, true, false]);
});

test("limits of a day hold over a restart and end with the day", () => {
  const { limits: own, pass } = dayLimits({ requests: 4, tokens: 900 });
  const anna = key({ account: "anna", requestsPerDay: 5 });
  const ben = key({ account: "ben", tokensPerDay: 1_000 }, "b");
  expect(refusal(() => own.admit(anna)?.())).toBeNull();
  expect(refusal(() => own.admit(anna))).toBe(3_600);
  expect(refusal(() => own.admit(ben)?.())).toBeNull();
  own.count("ben", 100);
  expect(refusal(() => own.admit(ben))).toBe(3_600);
  pass(3_600_000);
  expect([anna, ben].map((each) => refusal(() => own.admit(each)?.()))).toEqual([null, null]);
});

test("the narrowest limits are reported, also with a refusal, and none where there are none", () => {
  const { limits: own } = dayLimits();
  const states: LimitStates[] = [];
  const admit = (limits: Partial<ApiKey>) =>
    refusal(() => own.admit(key({ account: "anna", ...limits }), (state) => states.push(state))?.());
  admit({ requestsPerMinute: 2, tokensPerDay: 5_000 });
  admit({ requestsPerMinute: 2, requestsPerDay: 2 });
  expect(admit({ requestsPerMinute: 2, requestsPerDay: 2 })).not.toBeNull();
  admit({ maxInFlight: 3 });
  expect(states).toEqual([
    {
      requests: { limit: 2, remaining: 1, resetMs: 60_000 },
      tokens: { limit: 5_000, remaining: 4_744, resetMs: 3_600_000 },
    },
    { requests: { limit: 2, remaining: 0, resetMs: 60_000 }, tokens: null },
    { requests: { limit: 2, remaining: 0, resetMs: 60_000 }, tokens: null },
  ]);
});

test("requests that are answered later count together or not at all", () => {
  const { limits: five, pass } = limits();
  const anna = key({ requestsPerMinute: 5, requestsPerDay: 8 });
  five.admit(anna)?.();
  pass(1_000);
  expect(refusal(() => five.admitLater(anna, 5))).toBe(59);
  five.admitLater(anna, 4);
  expect(refusal(() => five.admit(anna))).toBe(59);
  pass(60_000);
  expect(refusal(() => five.admitLater(anna, 4))).toBeGreaterThan(60);
  expect(refusal(() => five.admitLater(anna, 3))).toBeNull();
});

test("what was not accepted after all is not counted, whatever began meanwhile", () => {
  const { limits: three, pass } = limits();
  const anna = key({ requestsPerMinute: 3, requestsPerDay: 5 });
  const takeBack = three.admitLater(anna, 2);
  pass(10_000);
  three.admit(anna)?.();
  takeBack();
  three.admitLater(anna, 2);
  expect(refusal(() => three.admit(anna))).toBe(60);
  pass(60_000);
  three.admitLater(anna, 2);
  expect(refusal(() => three.admit(anna))).toBeGreaterThan(60);
});

test("more at once than a limit ever allows is refused without a time to wait", () => {
  const { limits: two } = limits();
  expect(() => two.admitLater(key({ requestsPerMinute: 2 }), 3)).toThrow(
    "limited to 2 requests a minute; found 3 at once",
  );
  expect(() => two.admitLater(key({ requestsPerDay: 2 }), 3)).toThrow("limited to 2 requests a day; found 3 at once");
});
