/**
 * How good a trial was. A higher tier is better whatever the values; within a tier the higher value is. `USABLE` trials
 * are ranked by their speed, those whose batch takes too long by its shortness; a failed one is worse than any.
 */
export interface Standing {
  readonly tier: number;
  /** Positive. */
  readonly value: number;
}

export const USABLE = 2;
export const BATCH_TOO_LONG = 1;
export const FAILED = 0;

export interface Trial<S, R extends Standing> {
  readonly settings: S;
  readonly result: R;
}

/** One setting that is varied while the others stay. */
export interface Axis<S, R extends Standing> {
  readonly name: string;
  /** Minimum improvement for a value to replace another one: more than noise. */
  readonly margin: number;
  /** Which way is tried first. */
  readonly first: "up" | "down";
  /** The values in order, as whole settings; those of `best` must be among them. */
  steps(best: Trial<S, R>): readonly S[];
}

export interface Search<S, R extends Standing> {
  readonly start: Trial<S, R>;
  readonly axes: readonly Axis<S, R>[];
  /** Equal for equal settings. */
  key(settings: S): string;
  /** Measures one. Null: there is no time left for it, and the search ends with what it has. */
  evaluate(settings: S, axis: string, best: Trial<S, R>): Promise<R | null>;
}

// After this many rounds over all axes nothing was seen to change any more.
const MAX_ROUNDS = 3;
// A value that is as good as the one held may be a plateau: one more step is tried behind it.
const PLATEAU = 0.03;

/** Whether `a` is better than `b` by more than `margin` (a share). Another tier needs no margin. */
export const beats = (a: Standing, b: Standing, margin: number): boolean =>
  a.tier !== b.tier ? a.tier > b.tier : a.value > b.value * (1 + margin);

/**
 * Climbs along one axis after the other, from the values held, until a whole round over the axes changes nothing: few
 * measurements, where a grid would need hundreds. Nothing is measured twice. What it cannot find is a peak behind a
 * valley; speed over threads, batches and slots has none in practice.
 */
export async function coordinateSearch<S, R extends Standing>(
  search: Search<S, R>,
): Promise<{ best: Trial<S, R>; complete: boolean }> {
  const known = new Map<string, R>([[search.key(search.start.settings), search.start.result]]);
  let best = search.start;
  const measure = async (settings: S, axis: string): Promise<Trial<S, R> | null> => {
    const key = search.key(settings);
    const result = known.get(key) ?? (await search.evaluate(settings, axis, best));
    if (result === null) return null;
    known.set(key, result);
    return { settings, result };
  };
  for (let round = 0; round < MAX_ROUNDS; round++) {
    const before = best;
    for (const axis of search.axes) {
      const end = await climb(axis, best, search.key, (settings) => measure(settings, axis.name));
      best = end.best;
      if (!end.complete) return { best, complete: false };
    }
    if (best === before) break;
  }
  return { best, complete: true };
}

async function climb<S, R extends Standing>(
  axis: Axis<S, R>,
  held: Trial<S, R>,
  key: (settings: S) => string,
  measure: (settings: S) => Promise<Trial<S, R> | null>,
): Promise<{ best: Trial<S, R>; complete: boolean }> {
  const steps = axis.steps(held);
  const at = steps.findIndex((settings) => key(settings) === key(held.settings));
  let best = held;
  for (const direction of axis.first === "up" ? [1, -1] : [-1, 1]) {
    let plateau = false;
    for (let index = at + direction; ; index += direction) {
      const settings = steps[index];
      if (settings === undefined) break;
      const trial = await measure(settings);
      if (trial === null) return { best, complete: false };
      if (beats(trial.result, best.result, axis.margin)) {
        best = trial;
        plateau = false;
      } else if (!plateau && !beats(best.result, trial.result, PLATEAU)) plateau = true;
      else break;
    }
    // Better one way means worse the other.
    if (best !== held) break;
  }
  return { best, complete: true };
}
