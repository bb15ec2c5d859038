import type { Clock } from "../../src/core/clock.ts";

/** A clock that a test turns. */
export class FakeClock implements Clock {
  time = 1_000_000;
  readonly timers = new Set<{ at: number; callback: () => void }>();
  now = (): number => this.time;
  monotonic = (): number => this.time;
  after(delayMs: number, callback: () => void) {
    const timer = { at: this.time + delayMs, callback };
    this.timers.add(timer);
    const cancel = (): void => void this.timers.delete(timer);
    return { cancel, [Symbol.dispose]: cancel };
  }
  advance(ms: number): void {
    const until = this.time + ms;
    for (;;) {
      const [next] = [...this.timers].filter((timer) => timer.at <= until).sort((a, b) => a.at - b.at);
      if (next === undefined) break;
      this.time = Math.max(this.time, next.at);
      this.timers.delete(next);
      next.callback();
    }
    this.time = until;
  }
}
