/** Replays workloads through the scheduler's own code with a simulated clock and fleet; see docs/scheduler.md. */
import { routingPolicies } from "../../src/core/config.ts";
import { printTable, Report } from "../lib/report.ts";
import { type Measures, measure } from "./measure.ts";
import type { SimRequest } from "./requests.ts";
import {
  deadlines,
  flooder,
  flooderOfFew,
  noReuse,
  PROFILE,
  pooled,
  run,
  runPolicy,
  SMALL,
  saturation,
  swaps,
} from "./scenarios.ts";
import { benchShapes } from "./shapes/main.ts";
import { readTrace, replay } from "./trace.ts";

export interface SimOptions {
  /** A trace of requests, JSON lines. Null: synthetic workloads alone. */
  readonly trace: string | null;
  readonly instances: readonly number[];
  /** Shares of what least-outstanding can do. */
  readonly loads: readonly number[];
  /** Most requests of one replay. */
  readonly most: number;
  /** Random shapes of conversations, and where their numbers come from. */
  readonly shapes: number;
  readonly seed: number;
  /** Nothing but the shapes. */
  readonly shapesAlone: boolean;
  readonly save: boolean;
}

const heading = [
  "policy",
  "TTFT p50",
  "p99",
  "mean",
  "of least-outstanding",
  "hits",
  "of pooled",
  "good/s",
  "good",
  "fairness",
];

/**
 * Runs everything, prints a table for each workload and a JSON line for each figure, and keeps them in
 * bench/results/sim.json.
 */
export function benchSim(options: SimOptions): void {
  const report = new Report("sim");
  benchShapes(report, { count: options.shapes, seed: options.seed });
  if (options.shapesAlone) return;
  if (options.trace !== null) {
    const trace = readTrace(options.trace);
    for (const instances of options.instances) {
      const copies = Math.max(1, Math.round(instances / 4));
      const at = (tokensPerSecond: number): SimRequest[] => replay(trace, tokensPerSecond, copies, options.most);
      const capacity = saturation(at(3 * instances * PROFILE.prefillTokensPerSecond), instances);
      for (const load of options.loads) traceAtLoad(report, at(load * capacity), instances, load);
    }
  }
  synthetic(report);
  if (options.save) report.save({ profile: PROFILE });
}

function traceAtLoad(report: Report, requests: readonly SimRequest[], instances: number, load: number): void {
  const bound = measure(run(requests, 1, "least-outstanding", pooled(instances)));
  const base = runPolicy(requests, instances, "least-outstanding");
  const rows = [heading];
  const show = (policy: string, measures: Measures): void => {
    report.add({
      bench: "sim",
      measure: "trace",
      instances,
      load,
      policy,
      ...rounded(measures),
      p50OfLeastOutstanding: round(measures.ttftP50S / base.ttftP50S),
      hitsOfPooled: round(measures.hitRate / bound.hitRate),
    });
    rows.push([
      policy,
      ...[measures.ttftP50S, measures.ttftP99S, measures.ttftMeanS, measures.ttftP50S / base.ttftP50S].map((value) =>
        value.toFixed(2),
      ),
      ...[
        measures.hitRate,
        measures.hitRate / bound.hitRate,
        measures.goodputPerSecond,
        measures.goodShare,
        measures.fairness,
      ].map((value) => value.toFixed(3)),
    ]);
  };
  show("one pooled machine", bound);
  for (const policy of routingPolicies)
    show(policy, policy === "least-outstanding" ? base : runPolicy(requests, instances, policy));
  console.log(`\n${instances} instances, load ${load}, ${requests.length} requests`);
  printTable(rows);
}

function synthetic(report: Report): void {
  const base = noReuse("least-outstanding", 4);
  const rows = [
    [
      "4 instances",
      "no reuse: TTFT p50",
      "of least-outstanding",
      "light client: p99 alone",
      "beside a flooder",
      "ratio",
    ],
  ];
  for (const policy of routingPolicies) {
    const plain = noReuse(policy, 4);
    const light = flooder(policy, 4);
    const ratio = light.besideP99S / light.aloneP99S;
    report.add({
      bench: "sim",
      measure: "no reuse",
      instances: 4,
      policy,
      ...rounded(plain),
      p50OfLeastOutstanding: round(plain.ttftP50S / base.ttftP50S),
      p99OfLeastOutstanding: round(plain.ttftP99S / base.ttftP99S),
    });
    report.add({
      bench: "sim",
      measure: "light client beside a flooder",
      instances: 4,
      policy,
      ...light,
      ratio: round(ratio),
    });
    rows.push([
      policy,
      ...[plain.ttftP50S, plain.ttftP50S / base.ttftP50S, light.aloneP99S, light.besideP99S, ratio].map((value) =>
        value.toFixed(2),
      ),
    ]);
  }
  console.log("");
  printTable(rows);
  report.add({ bench: "sim", measure: "two models in turn", ...swaps(300) });
  inTime(report);
  besideFlooder(report);
}

function besideFlooder(report: Report): void {
  const rows = [
    ["4 slots an instance", "light client", "p99 alone", "beside a flooder", "ratio", "flooder's answers/s"],
  ];
  for (const [device, profile] of [
    ["GPU", PROFILE],
    ["CPU", SMALL],
  ] as const) {
    for (const instances of [1, 4]) {
      for (const overlapping of [false, true]) {
        const light = flooderOfFew(profile, instances, overlapping);
        const ratio = light.besideP99S / light.aloneP99S;
        const how = overlapping ? "requests at random" : "one request at a time";
        report.add({
          bench: "sim",
          measure: "light client beside a flooder, 4 slots",
          instances,
          device,
          how,
          ...light,
          ratio: round(ratio),
        });
        rows.push([
          `${instances} ${device}`,
          how,
          ...[light.aloneP99S, light.besideP99S, ratio, light.flooderAnswers / 600].map((value) => value.toFixed(2)),
        ]);
      }
    }
  }
  console.log("");
  printTable(rows);
}

function inTime(report: Report): void {
  const rows = [
    [
      "a third has a deadline",
      "requests/s",
      "not heeded: in time",
      "others p50",
      "p99",
      "heeded: in time",
      "others p50",
      "p99",
    ],
  ];
  for (const instances of [1, 4]) {
    for (const perSecond of [1.2, 1.4, 1.5]) {
      const [without, heeded] = [
        deadlines("expected-time", instances, perSecond, false),
        deadlines("expected-time", instances, perSecond, true),
      ];
      for (const [how, figures] of [
        ["not heeded", without],
        ["heeded", heeded],
      ] as const)
        report.add({
          bench: "sim",
          measure: "deadlines",
          instances,
          perSecond: 1.5 * perSecond * instances,
          how,
          ...figures,
        });
      rows.push([
        `${instances} instances`,
        (1.5 * perSecond * instances).toFixed(1),
        ...[without, heeded].flatMap(({ inTime: share, othersP50S, othersP99S }) =>
          [share, othersP50S, othersP99S].map((value) => value.toFixed(2)),
        ),
      ]);
    }
  }
  console.log("");
  printTable(rows);
}

const round = (value: number): number => Math.round(value * 1000) / 1000;
const rounded = (measures: Measures): Record<string, number> =>
  Object.fromEntries(Object.entries(measures).map(([name, value]) => [name, round(value as number)]));
