import { printTable, progress, type Report } from "../../lib/report.ts";
import { quantile } from "../../lib/statistics.ts";
import { machines, runShape, type ShapeArm, type ShapeFigures, type ShapeMachine, shapeArms } from "./run.ts";
import { randomShapes, type Shape, twelveByTwo } from "./shape.ts";

export interface ShapesOptions {
  /** Random shapes on each machine; 0: none. */
  readonly count: number;
  readonly seed: number;
}

/** One shape, what every arm made of it, and how far that is from the best of those that know everything. */
interface Judged {
  readonly shape: Shape;
  readonly arms: ReadonlyMap<ShapeArm, ShapeFigures>;
  readonly leastPrefilled: number;
  readonly bestP50Ms: number;
  readonly bestP99Ms: number;
}

/** What a policy is judged by, each as a share of the best there can be; 1 is as good. */
const regrets = {
  "prefilled ÷ needed": ({ prefilledOfNeeded }: ShapeFigures): number => prefilledOfNeeded,
  "prefilled ÷ oracle": ({ prefilledOfNeeded }: ShapeFigures, { leastPrefilled }: Judged): number =>
    prefilledOfNeeded / leastPrefilled,
  "TTFT p50 ÷ oracle": ({ ttftP50Ms }: ShapeFigures, { bestP50Ms }: Judged): number => ttftP50Ms / bestP50Ms,
  "TTFT p99 ÷ oracle": ({ ttftP99Ms }: ShapeFigures, { bestP99Ms }: Judged): number => ttftP99Ms / bestP99Ms,
  "busiest share × replicas": ({ busiestShare }: ShapeFigures, { shape }: Judged): number =>
    busiestShare * shape.replicas,
} as const;

/**
 * Conversations of random shapes under every policy, with the worst shape of each beside the median; then one fixed
 * shape.
 */
export function benchShapes(report: Report, { count, seed }: ShapesOptions): void {
  if (count === 0) return;
  for (const machine of machines) {
    const judged: Judged[] = [];
    for (const [index, shape] of randomShapes(seed, count, machine.limits).entries()) {
      judged.push(judge(shape, machine));
      if ((index + 1) % 20 === 0) progress(`${machine.name}: ${index + 1} of ${count} shapes`);
    }
    showAll(report, machine, judged);
    show(report, machine, judge(twelveByTwo(seed), machine));
  }
}

function judge(shape: Shape, machine: ShapeMachine): Judged {
  const arms = new Map(shapeArms.map((arm) => [arm, runShape(shape, arm, machine)]));
  const known = [...arms].filter(([arm]) => arm.startsWith("oracle")).map(([, figures]) => figures);
  const least = (of: (figures: ShapeFigures) => number): number => Math.min(...known.map(of));
  return {
    ...{ shape, arms, leastPrefilled: least(({ prefilledOfNeeded }) => prefilledOfNeeded) },
    ...{ bestP50Ms: least(({ ttftP50Ms }) => ttftP50Ms), bestP99Ms: least(({ ttftP99Ms }) => ttftP99Ms) },
  };
}

function showAll(report: Report, { name: machine }: ShapeMachine, judged: readonly Judged[]): void {
  const names = Object.keys(regrets) as (keyof typeof regrets)[];
  const rows = [["policy", ...names.flatMap((name) => [`${name}: median`, "worst"])]];
  for (const arm of shapeArms) {
    const row: string[] = [arm];
    for (const name of names) {
      const values = judged
        .map((one) => ({ shape: one.shape, value: regrets[name](figuresOf(one, arm), one) }))
        .sort((a, b) => a.value - b.value);
      const [median, worst] = [values[Math.floor(values.length / 2)], values.at(-1)];
      if (median === undefined || worst === undefined) continue;
      const figures = {
        median: round(median.value),
        p90: round(
          quantile(
            values.map(({ value }) => value),
            0.9,
          ),
        ),
        worst: round(worst.value),
      };
      report.add({
        bench: "sim",
        measure: `shapes: ${name}`,
        machine,
        arm,
        shapes: judged.length,
        ...figures,
        worstShape: worst.shape,
      });
      row.push(median.value.toFixed(2), worst.value.toFixed(2));
    }
    rows.push(row);
  }
  console.log(`\n${judged.length} random shapes of conversations, ${machine}`);
  printTable(rows);
}

function show(report: Report, { name: machine }: ShapeMachine, judged: Judged): void {
  const rows = [["policy", "prefilled ÷ needed", "TTFT p50 ms", "p99 ms", "busiest share"]];
  for (const [arm, figures] of judged.arms) {
    report.add({ bench: "sim", measure: `shape: ${judged.shape.name}`, machine, arm, ...figures });
    const { prefilledOfNeeded, ttftP50Ms, ttftP99Ms, busiestShare } = figures;
    rows.push([arm, prefilledOfNeeded.toFixed(2), ttftP50Ms.toFixed(0), ttftP99Ms.toFixed(0), busiestShare.toFixed(2)]);
  }
  console.log(`\n${judged.shape.name}, ${machine}`);
  printTable(rows);
}

function figuresOf({ arms, shape }: Judged, arm: ShapeArm): ShapeFigures {
  const figures = arms.get(arm);
  if (figures === undefined) throw new Error(`${shape.name} was not run under ${arm}`);
  return figures;
}

const round = (value: number): number => Math.round(value * 1000) / 1000;
