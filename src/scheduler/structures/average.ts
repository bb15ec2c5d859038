/** An exponentially weighted mean. `value` is null until the first sample. */
export interface Average {
  value: number | null;
}

/** Weight of a new sample: about the last ten samples count. */
const WEIGHT = 0.2;

export const average = (): Average => ({ value: null });

export function learn(mean: Average, sample: number): void {
  if (!Number.isFinite(sample) || sample < 0) return;
  mean.value = mean.value === null ? sample : mean.value + WEIGHT * (sample - mean.value);
}
