/**
 * How long `assistant engine build` takes: `npm run bench -- engine-build [--jobs N] [--rounds N]`. Writes
 * bench/results/engine-build.json. All of llama.cpp compiled, and the server alone linked against compiled libraries,
 * one after the other from nothing; processor time counts, as other programs do not change it much.
 */
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { constants, setPriority, tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { buildLlamaServer } from "../../src/engines/llama-server/build/build.ts";
import { printTable, progress, Report } from "../lib/report.ts";
import { shown, spread } from "../lib/statistics.ts";

const { values } = parseArgs({
  options: { jobs: { type: "string", default: "2" }, rounds: { type: "string", default: "1" } },
});
const arms = ["from source", "linked"] as const;
type Arm = (typeof arms)[number];

/** Whoever uses this machine goes first. */
setPriority(constants.priority.PRIORITY_LOW);

interface Cost {
  readonly wallS: number;
  readonly cpuS: number;
}

/** Processor time of all processes that this one has started and that have ended, in seconds. */
async function childrenSeconds(): Promise<number> {
  const stat = await readFile("/proc/self/stat", "utf8");
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  // Hundredths of a second on every architecture Node runs on.
  return (Number(fields[13]) + Number(fields[14])) / 100;
}

async function build(arm: Arm): Promise<Cost> {
  const enginesDir = await mkdtemp(join(tmpdir(), "bench-build-"));
  const [beganAt, cpuBefore] = [performance.now(), await childrenSeconds()];
  try {
    const { manifest } = await buildLlamaServer({
      enginesDir,
      stock: false,
      fromSource: arm === "from source",
      force: false,
      keep: false,
      gpus: [],
      jobs: Number(values.jobs),
      probe: async () => {},
      onProgress: () => {},
    });
    const expected = arm === "linked" ? "prebuilt" : "compiled";
    if (manifest.libraries !== expected) throw new Error(`the libraries are ${manifest.libraries}, not ${expected}`);
    return { wallS: (performance.now() - beganAt) / 1000, cpuS: (await childrenSeconds()) - cpuBefore };
  } finally {
    await rm(enginesDir, { recursive: true, force: true });
  }
}

const report = new Report("engine-build");
const costs = new Map<Arm, Cost[]>(arms.map((arm) => [arm, []]));
for (let round = 0; round < Number(values.rounds); round++) {
  for (const arm of round % 2 === 0 ? arms : arms.toReversed()) {
    const cost = await build(arm);
    progress(`${arm}: ${cost.wallS.toFixed(0)} s, ${cost.cpuS.toFixed(0)} s of processor time`);
    costs.get(arm)?.push(cost);
  }
}
const table: string[][] = [["", "measure", "median (low–high)", "goal"]];
for (const [field, measure] of [
  ["wallS", "time, s"],
  ["cpuS", "processor time, s"],
] as const) {
  const of = (arm: Arm): number[] => (costs.get(arm) ?? []).map((cost) => cost[field]);
  const ratios = of("linked").map((value, index) => value / (of("from source")[index] ?? Number.NaN));
  const rows = [
    ...arms.map((arm) => [arm, of(arm), undefined] as const),
    ["linked ÷ from source", ratios, "≤ 0.5"] as const,
  ];
  for (const [arm, figures, goal] of rows) {
    report.add({ bench: "engine-build", arm, measure, ...spread(figures), ...(goal === undefined ? {} : { goal }) });
    table.push([arm, measure, shown(spread(figures)), goal ?? ""]);
  }
}
printTable(table);
console.log(`\nkept in ${report.save({ jobs: Number(values.jobs) })}`);
