import type { Device } from "../../../src/core/device.ts";
import { MAX_BATCH_MS, type Objective, type Result } from "./score.ts";
import { type Axis, type Trial, USABLE } from "./search.ts";
import type { TuneSettings } from "./settings.ts";

/** What bounds the values that are worth trying. */
export interface Bounds {
  /** Whether it decodes after the prompt. If not, an input must fit into one micro-batch. */
  readonly generates: boolean;
  /** Whether its engine computes batches in micro-batches. */
  readonly hasMicroBatches: boolean;
  readonly device: Pick<Device, "vendor">;
  readonly objective: Objective;
  readonly mostThreads: number;
  /** Context of one request, tokens: an embedding's input must fit into one batch. */
  readonly contextTokens: number;
  /** Requests at once in the measurement; more slots than that would stay empty. */
  readonly streams: number;
}

type TuneAxis = Axis<TuneSettings, Result>;

// Small, as small gains add up along an axis; a lucky winner is detected by the final measurements.
const MARGIN = 0.01;
// Another cache type changes answers a little, so that it must be worth it.
const CACHE_MARGIN = 0.1;
// Room for noise.
const BATCH_ALLOWANCE = 1.2;

const powers = (from: number, to: number): number[] =>
  Array.from({ length: Math.max(0, Math.floor(Math.log2(to / from)) + 1) }, (_, power) => from * 2 ** power);

/**
 * The settings that can make a difference, the one with the largest effect first; the batch before all others where
 * the one that the model has takes too long, so that the others are compared by speed.
 */
export function axesFor(bounds: Bounds, start: Result): TuneAxis[] {
  const { device, objective, generates, hasMicroBatches } = bounds;
  const onGpu = device.vendor !== "cpu";
  const threadsFirst = !onGpu && start.tier === USABLE;
  return [
    ...(threadsFirst ? [threads(bounds)] : []),
    batch(bounds),
    ...(threadsFirst || onGpu ? [] : [threads(bounds)]),
    // On a CPU a batch of 200 ms is small already.
    ...(onGpu && generates && hasMicroBatches ? [microBatch()] : []),
    // A single request uses one slot, however many there are.
    ...(objective === "latency" ? [] : [slots(bounds)]),
    ...(generates ? [cacheType()] : []),
    ...(onGpu ? [threads(bounds)] : []),
  ];
}

function threads({ mostThreads }: Bounds): TuneAxis {
  const quarters = [0.25, 0.5, 0.75].map((share) => Math.round(mostThreads * share));
  const values = [...powers(1, mostThreads), ...quarters, mostThreads - 1, mostThreads].filter((count) => count >= 1);
  return axis(
    "threads",
    "down",
    values,
    ({ threads: count }) => count,
    (at, count) => ({ ...at, threads: count }),
  );
}

// Below it every token costs about as much as a batch of this size does.
const MIN_BATCH = 16;

/** The smallest batch that is tried: an embedding's input is computed at once. */
export const smallestBatch = ({ generates, contextTokens }: Pick<Bounds, "generates" | "contextTokens">): number =>
  generates ? MIN_BATCH : contextTokens;

function batch(bounds: Bounds): TuneAxis {
  const onGpu = bounds.device.vendor !== "cpu";
  const least = smallestBatch(bounds);
  const coupled = !onGpu || !bounds.generates;
  const values = bounds.generates
    ? powers(least, onGpu ? 8192 : 512)
    : [least, ...powers(512, 8192).filter((tokens) => tokens > least)];
  return {
    name: "batch",
    margin: MARGIN,
    first: "up",
    steps: (best) => {
      const inTime = values.filter((tokens) => tokens === least || mayBeInTime(tokens, best));
      return ordered(inTime, best.settings.batchTokens).map((tokens) => {
        if (tokens === best.settings.batchTokens) return best.settings;
        const microBatchTokens = coupled ? tokens : Math.min(tokens, best.settings.microBatchTokens);
        return { ...best.settings, batchTokens: tokens, microBatchTokens };
      });
    },
  };
}

/** Whether a batch is worth a measurement: a smaller one is computed at a lower rate, a larger one takes longer. */
function mayBeInTime(tokens: number, { settings, result }: Trial<TuneSettings, Result>): boolean {
  if (result.kind === "failed") return true;
  const own = settings.batchTokens;
  if (tokens > own) return result.batchMs <= MAX_BATCH_MS;
  return (result.batchMs * tokens) / own <= MAX_BATCH_MS * BATCH_ALLOWANCE;
}

const microBatch = (): TuneAxis => ({
  name: "micro-batch",
  margin: MARGIN,
  first: "up",
  steps: ({ settings }) => {
    const values = powers(128, 4096).filter((tokens) => tokens <= settings.batchTokens);
    return ordered(values, settings.microBatchTokens).map((microBatchTokens) => ({ ...settings, microBatchTokens }));
  },
});

const slots = ({ streams }: Bounds): TuneAxis =>
  axis(
    "slots",
    "up",
    [...powers(1, streams), streams],
    ({ slots: count }) => count,
    (at, count) => ({ ...at, slots: count }),
  );

/** f16 and q8_0, which are indistinguishable in practice; coarser ones change answers and are left to the user. */
const cacheType = (): TuneAxis => ({
  name: "cache",
  margin: CACHE_MARGIN,
  first: "up",
  steps: ({ settings }) => {
    const own = `${settings.cacheTypeK} ${settings.cacheTypeV}`;
    const others = ["f16", "q8_0"]
      .filter((type) => `${type} ${type}` !== own)
      .map((type) => ({ ...settings, cacheTypeK: type, cacheTypeV: type }));
    return [settings, ...others];
  },
});

function axis(
  name: string,
  first: TuneAxis["first"],
  values: readonly number[],
  read: (settings: TuneSettings) => number,
  write: (settings: TuneSettings, value: number) => TuneSettings,
): TuneAxis {
  return {
    name,
    margin: MARGIN,
    first,
    steps: ({ settings }) => ordered(values, read(settings)).map((value) => write(settings, value)),
  };
}

/** Each once, ascending, with the user's own value in its place. */
const ordered = (values: readonly number[], own: number): number[] =>
  [...new Set([...values, own])].sort((a, b) => a - b);
