import { expect, test } from "vitest";
import type { Clock } from "../../../src/core/clock.ts";
import { tidyWhenQuiet } from "../../../src/daemon/heap.ts";

const MIB = 2 ** 20;

/** A daemon of which only the memory and the work are there; collecting brings the memory down to 80 MiB. */
function quietDaemon() {
  const state = { inFlight: 0, requestsServed: 0, rss: (100 * MIB) as number | null, collections: 0, armed: true };
  let due: { readonly delayMs: number; readonly callback: () => void } | null = null;
  const clock: Clock = {
    now: () => 0,
    monotonic: () => 0,
    after: (delayMs, callback) => {
      due = { delayMs, callback };
      const cancel = (): void => {
        state.armed = false;
      };
      return { cancel, [Symbol.dispose]: cancel };
    },
  };
  const tidying = tidyWhenQuiet({
    clock,
    work: () => state,
    residentBytes: () => state.rss,
    collect: () => {
      state.collections++;
      state.rss = 80 * MIB;
    },
  });
  /** Lets the next look happen; returns after how long it was due. */
  const look = (): number => {
    if (due === null) throw new Error("no look is due");
    const { delayMs, callback } = due;
    callback();
    return delayMs;
  };
  return { state, look, tidying };
}

test("what the start took is given back ten seconds later, once", () => {
  const { state, look } = quietDaemon();
  expect(look()).toBe(10_000);
  expect(state.collections).toBe(1);
  expect(look()).toBe(120_000);
  expect(state.collections).toBe(1);
});

test("nothing is collected while a request runs, or where some have ended since the last look", () => {
  const { state, look } = quietDaemon();
  state.inFlight = 1;
  look();
  expect(state.collections).toBe(0);
  Object.assign(state, { inFlight: 0, requestsServed: 5 });
  look();
  expect(state.collections).toBe(0);
  look();
  expect(state.collections).toBe(1);
});

test("a little more than before is left alone, a burst's memory is given back when it is over", () => {
  const { state, look } = quietDaemon();
  look();
  Object.assign(state, { rss: 95 * MIB });
  look();
  expect(state.collections).toBe(1);
  Object.assign(state, { rss: 160 * MIB, requestsServed: 1_000 });
  look();
  expect(state.collections).toBe(1);
  look();
  expect(state.collections).toBe(2);
});

test("a daemon that stops looks no more", () => {
  const { state, tidying } = quietDaemon();
  tidying[Symbol.dispose]();
  expect(state.armed).toBe(false);
});

test("memory that cannot be read, as when every descriptor is in use, is no reason to collect, to fail or to stop looking", () => {
  const { state, look } = quietDaemon();
  state.rss = null;
  look();
  expect(state.collections).toBe(0);
  state.rss = 100 * MIB;
  look();
  expect(state.collections).toBe(1);
});
