import fc from "fast-check";
import { expect, test } from "vitest";
import { decideRestart, type FailureFacts, restartLimits } from "../../../src/fleet/restart-policy.ts";

const facts = (changes: Partial<FailureFacts>): FailureFacts => ({
  cause: "exit",
  phase: "starting",
  upMs: 0,
  failuresBefore: 0,
  ...changes,
});
const middle = () => 0.5;

test.each([
  ["nothing was spawned", facts({ phase: "preparing", cause: "spawn-error", failuresBefore: 7 }), 1_000, 7],
  ["first failed start", facts({}), 10_000, 1],
  ["second failed start", facts({ failuresBefore: 1 }), 20_000, 2],
  ["fifth failed start", facts({ failuresBefore: 4 }), 160_000, 5],
  ["sixth failed start", facts({ failuresBefore: 5 }), 300_000, 6],
  ["thousandth failed start", facts({ failuresBefore: 999 }), 300_000, 1000],
  ["first crash", facts({ phase: "up", upMs: 10 }), 0, 1],
  ["second crash soon after", facts({ phase: "up", upMs: 10, failuresBefore: 1 }), 10_000, 2],
  ["third crash soon after", facts({ phase: "up", upMs: 10, failuresBefore: 2 }), 20_000, 3],
  ["crash after a stable minute", facts({ phase: "up", upMs: 60_000, failuresBefore: 5 }), 0, 1],
  ["wedged after a stable hour", facts({ cause: "wedged", phase: "up", upMs: 3_600_000 }), 0, 1],
])("%s", (_what, given, delayMs, failures) => {
  const decision = decideRestart(given, middle);
  expect(decision).toMatchObject({ delayMs, failures, verdict: delayMs === 0 ? "at-once" : "after-delay" });
  expect(decision.sentence).toMatch(delayMs === 0 ? /at once/ : new RegExp(`in ${delayMs / 1000} s`));
});

test("delays stay within their bounds, whatever the chance", () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 0, max: 10_000 }),
      fc.double({ min: 0, max: 1, noNaN: true }),
      (failuresBefore, chance) => {
        const { delayMs } = decideRestart(facts({ failuresBefore }), () => chance);
        expect(delayMs).toBeGreaterThanOrEqual(restartLimits.firstDelayMs * 0.9);
        expect(delayMs).toBeLessThanOrEqual(restartLimits.longestDelayMs * 1.1);
      },
    ),
  );
});
