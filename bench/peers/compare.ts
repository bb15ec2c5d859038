/** From what was measured in each round to figures, ratios and tables. */
import type { Row } from "../lib/report.ts";
import { type Spread, shown, spread } from "../lib/statistics.ts";

/** One arm in one round. A measure that failed is missing. */
export interface Sample {
  readonly requestsPerSecond1?: number;
  readonly p50At1Us?: number;
  readonly p99At1Us?: number;
  readonly requestsPerSecond8?: number;
  readonly p50At8Us?: number;
  readonly p99At8Us?: number;
  readonly requestsPerSecond32?: number;
  readonly p50At32Us?: number;
  readonly p99At32Us?: number;
  readonly cpuPerChunkUs?: number;
  readonly gapP99Us?: number;
  readonly rssBytes?: number;
}

export type Measure = keyof Sample;

export interface Measured {
  readonly arm: string;
  /** One for each round, in order. */
  readonly samples: readonly Sample[];
  /** Workload -> why it could not be measured. */
  readonly failed: Readonly<Record<string, string>>;
}

/** Below this the stub or the load, not the arm, may be what was measured. */
export const MIN_CEILING = 1.5;
/** The stub's pace, µs: what is above it is delay. */
const PACE_US = 10_000;

const measures: readonly Measure[] = [
  ...(["requestsPerSecond1", "p50At1Us", "p99At1Us", "requestsPerSecond8", "p50At8Us", "p99At8Us"] as const),
  ...(["requestsPerSecond32", "p50At32Us", "p99At32Us", "cpuPerChunkUs", "gapP99Us", "rssBytes"] as const),
];

/** Values of rounds in which both arms have one. */
function inPairs(one: Measured, other: Measured, value: (a: Sample, b: Sample) => number): number[] {
  return one.samples.flatMap((sample, round) => {
    const against = other.samples[round];
    const found = against === undefined ? Number.NaN : value(sample, against);
    return Number.isFinite(found) ? [found] : [];
  });
}

/** How many times the arm's requests per second the stub alone gave in the same rounds: the median. */
export function ceilingOf(arm: Measured, direct: Measured, measure: Measure): number | null {
  if (!measure.startsWith("requestsPerSecond") || arm.arm === direct.arm) return null;
  const values = inPairs(arm, direct, (ours, stub) => (stub[measure] ?? Number.NaN) / (ours[measure] ?? Number.NaN));
  return values.length > 0 ? spread(values).median : null;
}

export function figures(arm: Measured, direct: Measured): Row[] {
  return measures.flatMap((measure) => {
    const values = arm.samples.map((sample) => sample[measure]).filter((value) => value !== undefined);
    if (values.length === 0) return [];
    const ceiling = ceilingOf(arm, direct, measure);
    const guard = ceiling === null ? {} : { ceiling, bounded: ceiling < MIN_CEILING };
    return [{ bench: "peers", arm: arm.arm, measure, rounds: values.length, ...spread(values), ...guard }];
  });
}

export interface Ratio {
  readonly arm: string;
  readonly measure: string;
  readonly goal: string;
  /** Null where one of the two has no figure. */
  readonly spread: Spread | null;
  readonly met: boolean | null;
}

type Rule = readonly [measure: string, arm: string, goal: string, value: (ours: Sample, theirs: Sample) => number];
const NONE = Number.NaN;
const throughput = (ours: Sample, theirs: Sample): number =>
  (ours.requestsPerSecond32 ?? NONE) / (theirs.requestsPerSecond32 ?? NONE);
const tail = (ours: Sample, theirs: Sample): number => (ours.p99At32Us ?? NONE) / (theirs.p99At32Us ?? NONE);
const cpu = (ours: Sample, theirs: Sample): number => (ours.cpuPerChunkUs ?? NONE) / (theirs.cpuPerChunkUs ?? NONE);
const delay = (ours: Sample, theirs: Sample): number =>
  ((ours.gapP99Us ?? NONE) - PACE_US) / ((theirs.gapP99Us ?? NONE) - PACE_US);

/** The goals against each peer; a peer without one is told for what it is. */
const goals: Readonly<Record<string, readonly [requests: string, p99: string, cpu: string, delay: string]>> = {
  skeleton: ["≥ 0.8", "", "≤ 0.7", ""],
  nginx: ["", "", "", ""],
  "llama-server-router": ["", "", "", ""],
  "llama-swap": ["≥ 2.5", "< 1", "≤ 1", "≤ 1.5"],
  olla: ["≥ 2.5", "< 1", "≤ 1", "≤ 1.5"],
  portkey: ["≥ 15", "", "", ""],
  litellm: ["≥ 100", "", "", ""],
};

/** The daemon ÷ each peer, paired by round. */
export function ratios(all: readonly Measured[]): Ratio[] {
  const daemon = all.find(({ arm }) => arm === "daemon");
  if (daemon === undefined) return [];
  return all.flatMap((peer) => {
    const [requests, p99, perChunk, late] = goals[peer.arm] ?? [];
    if (requests === undefined || p99 === undefined || perChunk === undefined || late === undefined) return [];
    const rules: readonly Rule[] = [
      ["requests/s at 32", peer.arm, requests, throughput],
      ["p99 at 32", peer.arm, p99, tail],
      ["CPU per chunk", peer.arm, perChunk, cpu],
      ["delay of chunks p99", peer.arm, late, delay],
    ];
    return rules.map(([measure, arm, goal, value]) => {
      const values = inPairs(daemon, peer, value);
      const found = values.length > 0 ? spread(values) : null;
      return { arm, measure, goal, spread: found, met: found === null ? null : meets(found.median, goal) };
    });
  });
}

/** Whether a value keeps to a goal such as "≥ 2.5"; null for no goal. */
export function meets(value: number, goal: string): boolean | null {
  const bound = Number(goal.slice(1));
  if (goal === "") return null;
  if (goal.startsWith("≥")) return value >= bound;
  return goal.startsWith("≤") ? value <= bound : value < bound;
}

const cell = (values: readonly (number | undefined)[], scale = 1, digits = 0): string => {
  const known = values.filter((value) => value !== undefined);
  return known.length > 0 ? (spread(known).median / scale).toFixed(digits) : "–";
};

/** The figures for people; `*` marks requests per second that the stub's own bound. */
export function armTable(all: readonly Measured[], direct: Measured): string[][] {
  const head = [
    "arm",
    "req/s, 1",
    "req/s, 8",
    "req/s, 32",
    "p50 µs, 1",
    "p99 µs, 1",
    "p99 ms, 8",
    "p99 ms, 32",
    "CPU µs/chunk",
    "gap p99 ms",
    "RSS MB",
  ];
  const rows = all.map((arm) => {
    const of = (measure: Measure, scale?: number, digits?: number): string =>
      cell(
        arm.samples.map((sample) => sample[measure]),
        scale,
        digits,
      );
    const rate = (measure: Measure): string =>
      `${of(measure)}${(ceilingOf(arm, direct, measure) ?? MIN_CEILING) < MIN_CEILING ? "*" : ""}`;
    const rates = [rate("requestsPerSecond1"), rate("requestsPerSecond8"), rate("requestsPerSecond32")];
    const latencies = [of("p50At1Us"), of("p99At1Us"), of("p99At8Us", 1000, 2), of("p99At32Us", 1000, 2)];
    return [arm.arm, ...rates, ...latencies, of("cpuPerChunkUs", 1, 1), of("gapP99Us", 1000, 2), of("rssBytes", 1e6)];
  });
  return [head, ...rows];
}

export function ratioTable(found: readonly Ratio[]): string[][] {
  const rows = found.map(({ arm, measure, goal, spread: values, met }) => [
    ...[`daemon ÷ ${arm}`, measure, values === null ? "–" : shown(values), goal],
    met === null ? "" : met ? "met" : "missed",
  ]);
  return [["", "measure", "median (low–high)", "goal", ""], ...rows];
}
