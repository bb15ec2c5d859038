import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { axesFor, type Bounds } from "../../../../../commands/support/tune/axes.ts";
import {
  judge,
  MAX_BATCH_MS,
  type Measured,
  type Objective,
  type Rates,
  type Result,
} from "../../../../../commands/support/tune/score.ts";
import {
  type Axis,
  coordinateSearch,
  FAILED,
  type Standing,
  USABLE,
} from "../../../../../commands/support/tune/search.ts";
import { settingsKey, type TuneSettings } from "../../../../../commands/support/tune/settings.ts";

/** A machine as it behaves in practice: more threads help until the cores, batches and slots saturate and cost. */
interface Machine {
  readonly cores: number;
  /** Tokens per second of one core. */
  readonly prefill: number;
  readonly decode: number;
  /** Share of the work that threads cannot divide. */
  readonly serial: number;
  /** Tokens by which a batch pays for its start. */
  readonly overhead: number;
  /** What each further slot adds to a decode step, as a share of it. */
  readonly slotCost: number;
  readonly quantizedCache: number;
}

function ratesOn(machine: Machine, settings: TuneSettings, streams: number): Rates {
  const used = Math.min(settings.threads, machine.cores);
  const spinning = settings.threads > machine.cores ? 0.3 : 1;
  const speedup = spinning / (machine.serial + (1 - machine.serial) / used);
  const cache = settings.cacheTypeK === "q8_0" ? machine.quantizedCache : 1;
  const prefill =
    (machine.prefill * speedup * cache * settings.batchTokens) / (settings.batchTokens + machine.overhead);
  const decode = machine.decode * speedup * cache;
  const busy = Math.min(settings.slots, streams);
  const together = (decode * busy) / (1 + machine.slotCost * (busy - 1));
  return { prefill, decode, streams: 576 / (512 / prefill + 64 / together) };
}

const cpu = (objective: Objective, mostThreads: number): Bounds => ({
  ...{
    generates: true,
    hasMicroBatches: true,
    device: { vendor: "cpu" },
    objective,
    mostThreads,
    contextTokens: 4096,
    streams: 8,
  },
});

async function search(machine: Machine, bounds: Bounds, start: TuneSettings) {
  const evaluate = (settings: TuneSettings): Result => {
    return judge(
      [ratesOn(machine, settings, bounds.streams)],
      bounds.objective,
      settings.batchTokens,
      settings.batchTokens <= 16,
    );
  };
  let runs = 0;
  const startTrial = { settings: start, result: evaluate(start) };
  const { best, complete } = await coordinateSearch({
    start: startTrial,
    axes: axesFor(bounds, startTrial.result),
    key: settingsKey,
    evaluate: async (settings) => {
      runs++;
      return evaluate(settings);
    },
  });
  return { best, complete, runs, evaluate };
}

function* grid(mostThreads: number): Generator<TuneSettings> {
  for (let threads = 1; threads <= mostThreads; threads++) {
    for (const slots of [1, 2, 4, 8]) {
      for (const batchTokens of [16, 32, 64, 128, 256, 512]) {
        for (const type of ["f16", "q8_0"])
          yield { threads, slots, batchTokens, microBatchTokens: batchTokens, cacheTypeK: type, cacheTypeV: type };
      }
    }
  }
}

const clearOfLimit = (result: Measured): boolean =>
  result.batchMs <= MAX_BATCH_MS * 0.9 || result.batchMs > MAX_BATCH_MS;

const machines = fc.record({
  cores: fc.integer({ min: 1, max: 32 }),
  prefill: fc.double({ min: 40, max: 500, noNaN: true }),
  decode: fc.double({ min: 5, max: 60, noNaN: true }),
  serial: fc.double({ min: 0.01, max: 0.3, noNaN: true }),
  overhead: fc.double({ min: 0.5, max: 40, noNaN: true }),
  slotCost: fc.double({ min: 0.02, max: 0.9, noNaN: true }),
  quantizedCache: fc.constantFrom(0.8, 0.97, 1.3),
});
const starts = fc.record({
  threads: fc.integer({ min: 1, max: 32 }),
  slots: fc.constantFrom(1, 2, 3, 8),
  batchTokens: fc.constantFrom(8, 16, 100, 128, 512),
});

describe("the search over settings", () => {
  it.each<Objective>(["latency", "throughput", "balanced"])(
    "for %s ends within 5 % of the best of a grid, with a fraction of its runs",
    async (objective) => {
      await fc.assert(
        fc.asyncProperty(machines, starts, async (machine, given) => {
          const mostThreads = machine.cores;
          const start = {
            ...given,
            threads: Math.min(given.threads, mostThreads),
            microBatchTokens: given.batchTokens,
            cacheTypeK: "f16",
            cacheTypeV: "f16",
          };
          const { best, complete, runs, evaluate } = await search(machine, cpu(objective, mostThreads), start);
          // What passes the limit of a batch by a hair, with everything else at its best, is nothing to look for.
          const results = [...grid(mostThreads)]
            .map(evaluate)
            .filter((result) => result.kind === "measured" && result.tier === USABLE && clearOfLimit(result));
          const most = Math.max(0, ...results.map((result) => (result.kind === "measured" ? result.score : 0)));
          expect(complete).toBe(true);
          expect(best.result.kind === "measured" && best.result.tier).toBe(USABLE);
          expect(best.result.kind === "measured" ? best.result.score : 0).toBeGreaterThan(0.95 * most);
          expect(runs).toBeLessThanOrEqual(40);
        }),
        { numRuns: 300, endOnFailure: true },
      );
    },
  );

  it("chooses no batch that takes over 200 ms, however fast it is, unless none is shorter", async () => {
    const machine = { cores: 2, prefill: 75, decode: 20, serial: 0.05, overhead: 6, slotCost: 0.3, quantizedCache: 1 };
    const start = {
      threads: 2,
      slots: 4,
      batchTokens: 512,
      microBatchTokens: 512,
      cacheTypeK: "f16",
      cacheTypeV: "f16",
    };
    const { best } = await search(machine, cpu("throughput", 2), start);
    expect(best.result.kind === "measured" && best.result.batchMs).toBeLessThanOrEqual(200);
    const slow = await search({ ...machine, prefill: 5 }, cpu("throughput", 2), start);
    expect(slow.best.settings.batchTokens).toBe(16);
  });

  const line: Axis<number, Standing> = { name: "n", margin: 0.03, first: "up", steps: () => [1, 2, 3, 4, 5, 6, 7] };
  const standing = (value: number): Standing => ({ tier: USABLE, value });
  const along = (values: readonly number[], start: number) => {
    const asked: number[] = [];
    const evaluate = async (n: number) => {
      asked.push(n);
      return standing(values[n - 1] ?? 0);
    };
    const result = coordinateSearch({
      start: { settings: start, result: standing(values[start - 1] ?? 0) },
      axes: [line],
      key: String,
      evaluate,
    });
    return { asked, result };
  };

  it("stops at the first worse value, and looks once behind an equal one", async () => {
    const peak = along([1, 2, 3, 2, 9, 9, 9], 2);
    expect((await peak.result).best.settings).toBe(3);
    expect(peak.asked).toEqual([3, 4]);
    const plateau = along([1, 2, 2.01, 4, 1, 1, 1], 2);
    expect((await plateau.result).best.settings).toBe(4);
  });

  it("goes the other way where the first is worse, and keeps what it has where both are", async () => {
    expect((await along([5, 4, 3, 2, 1, 1, 1], 4).result).best.settings).toBe(1);
    expect((await along([1, 1, 1, 5, 1, 1, 1], 4).result).best.settings).toBe(4);
  });

  it("does not move for less than the margin, nor to what failed", async () => {
    expect((await along([1, 1, 1, 1, 1.02, 1, 1], 4).result).best.settings).toBe(4);
    const failing = coordinateSearch({
      ...{ start: { settings: 4, result: standing(1) }, axes: [line], key: String },
      evaluate: async (): Promise<Standing> => ({ tier: FAILED, value: 0 }),
    });
    expect((await failing).best.settings).toBe(4);
  });

  it("keeps the best it has when the time is over", async () => {
    let left = 2;
    const end = await coordinateSearch({
      ...{ start: { settings: 1, result: standing(1) }, axes: [line], key: String },
      evaluate: async (n: number) => (left-- > 0 ? standing(n) : null),
    });
    expect(end).toEqual({ best: { settings: 3, result: standing(3) }, complete: false });
  });

  it("measures nothing twice", async () => {
    const { asked, result } = along([1, 2, 3, 4, 3, 2, 1], 1);
    await result;
    expect(new Set(asked).size).toBe(asked.length);
  });
});
