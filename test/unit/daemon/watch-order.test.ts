import { EventEmitter } from "node:events";
import { afterAll, expect, test, vi } from "vitest";
import { FakeClock } from "../../support/fake-clock.ts";

const kernel = vi.hoisted(() => ({ report: (): void => {}, watchers: 0 }));
vi.mock("node:fs", async (original) => ({
  ...(await original<typeof import("node:fs")>()),
  watch: (_path: string, _options: object, listener: () => void) => {
    kernel.report = listener;
    kernel.watchers += 1;
    return Object.assign(new EventEmitter(), { close: () => {} });
  },
}));

// Other files of this process may have loaded it with the real one, and must not get this one.
vi.resetModules();
afterAll(() => vi.resetModules());
const { ConfigWatch } = await import("../../../src/daemon/watch.ts");

test("what happens during a look brings the next one soon, and never a second one at once", async () => {
  const clock = new FakeClock();
  let looks = 0;
  const watched = () => {
    looks += 1;
    return { files: [], directories: [import.meta.dirname] };
  };
  using _watch = new ConfigWatch({ clock, watched, onChange: () => {} });
  const nextLook = async (): Promise<number> => {
    await vi.waitFor(() => expect(clock.timers.size).toBe(1), { interval: 1 });
    const [timer] = clock.timers;
    return (timer?.at ?? 0) - clock.time;
  };
  expect(await nextLook()).toBe(2_000);
  clock.advance(2_000);
  kernel.report();
  clock.advance(1_000);
  expect(looks).toBe(2);
  expect(await nextLook()).toBe(20);
  clock.advance(20);
  expect(await nextLook()).toBe(2_000);
  kernel.report();
  expect(await nextLook()).toBe(20);
  expect([looks, kernel.watchers]).toEqual([3, 1]);
});
