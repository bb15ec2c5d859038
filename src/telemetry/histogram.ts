/** Upper bounds in seconds: from an answer out of the cache to a long generation or a model's load. */
export const SECONDS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300] as const;

/** Durations by upper bound. Observing is a few comparisons and three additions. */
export class Histogram {
  /** Observations in each bucket alone, the last one being those above every bound. */
  readonly counts = new Array<number>(SECONDS.length + 1).fill(0);
  sum = 0;
  count = 0;

  /** Null is no observation. */
  observe(milliseconds: number | null): void {
    if (milliseconds === null) return;
    const seconds = milliseconds / 1000;
    let bucket = 0;
    while (bucket < SECONDS.length && seconds > (SECONDS[bucket] as number)) bucket++;
    (this.counts[bucket] as number)++;
    this.sum += seconds;
    this.count++;
  }
}
