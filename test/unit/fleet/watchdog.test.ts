import fc from "fast-check";
import { expect, test } from "vitest";
import type { SlotProgress } from "../../../src/core/probe.ts";
import { type VitalSigns, Watchdog, type WatchdogSettings } from "../../../src/fleet/watchdog.ts";

const settings: WatchdogSettings = { wedgeAfterMs: 60_000, longestGapMs: 20_000, computesOnCpu: false };
const slot = (tokensDecoded: number, busy = true, promptTokensDone = 5): SlotProgress => ({
  id: 0,
  busy,
  promptTokensDone,
  tokensDecoded,
});

/** Looks every 5 s for `seconds`; returns the time of the verdict "wedged", or null. */
function watch(
  seconds: number,
  signs: (second: number) => Omit<VitalSigns, "at">,
  changes: Partial<WatchdogSettings> = {},
): number | null {
  const watchdog = new Watchdog({ ...settings, ...changes });
  for (let second = 0; second <= seconds; second += 5)
    if (watchdog.look({ at: second * 1000, ...signs(second) }).state === "wedged") return second;
  return null;
}

test("busy slots without progress are a wedge after the set time", () => {
  expect(watch(300, () => ({ slots: [slot(3)], cpuMs: null }))).toBe(60);
});

test("progress of one slot is enough, in decode or in prefill", () => {
  expect(watch(300, (second) => ({ slots: [slot(3), slot(second)], cpuMs: null }))).toBeNull();
  expect(watch(300, (second) => ({ slots: [slot(0, true, second)], cpuMs: null }))).toBeNull();
});

test("idle slots are no wedge", () => {
  expect(watch(3_600, () => ({ slots: [slot(3, false)], cpuMs: null }))).toBeNull();
});

test("silence is a wedge", () => {
  expect(watch(300, (second) => ({ slots: second < 100 ? [slot(0, false)] : null, cpuMs: null }))).toBe(155);
});

test("an engine that computes on the processor gets ten times as long, one that only spins beside a GPU does not", () => {
  const spinning = (second: number) => ({ slots: null, cpuMs: second * 1000 });
  expect(watch(3_600, spinning, { computesOnCpu: true })).toBe(600);
  expect(watch(3_600, spinning)).toBe(60);
});

test("after a sleep of our own the time starts anew", () => {
  const watchdog = new Watchdog(settings);
  const stuck = { slots: [slot(3)], cpuMs: null };
  for (const at of [0, 5_000, 10_000]) watchdog.look({ at, ...stuck });
  expect(watchdog.look({ at: 3_600_000, ...stuck }).state).toBe("well");
  expect(watchdog.look({ at: 3_605_000, ...stuck }).state).toBe("waiting");
});

test("a wedge is never seen before its time, however progress comes", () => {
  fc.assert(
    fc.property(
      fc.array(
        fc.record({
          gapMs: fc.integer({ min: 1, max: 15_000 }),
          tokens: fc.integer({ min: 0, max: 2 }),
          silent: fc.boolean(),
        }),
        { maxLength: 60 },
      ),
      (looks) => {
        const watchdog = new Watchdog(settings);
        let at = 0;
        let changedAt = 0;
        let last: number | null = null;
        for (const { gapMs, tokens, silent } of looks) {
          at += gapMs;
          const { state } = watchdog.look({ at, slots: silent ? null : [slot(tokens)], cpuMs: null });
          if (last === null || (!silent && tokens !== last)) changedAt = at;
          last = silent ? (last ?? -1) : tokens;
          if (state === "wedged") expect(at - changedAt).toBeGreaterThanOrEqual(settings.wedgeAfterMs);
          if (state === "wedged") return;
        }
      },
    ),
  );
});
