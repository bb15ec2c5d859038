/**
 * Conversations of random shapes on a real model: what one bare llama-server makes of them, and the daemon's replicas
 * under each policy. `npm run bench -- conversations --shapes 20 --llama-server PROGRAM --chat FILE.gguf [--seed S]
 * [--arms LIST] [--named] [--work TOKENS]` (after `npm run build`). `--named` adds the fixed shape, as often as
 * `--rounds` says.
 *
 * - *bare*: one llama-server with the slots and the contexts of all replicas together, a thread for each core, and else
 *   its defaults.
 * - A policy: the daemon with its defaults and so many replicas of four slots; it gives their threads.
 *
 * The arms of a shape run one after the other, in another order for each shape.
 */
import { spawn } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { availableParallelism, tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { eventually, installAssistant, readyInstances } from "../../test/support/assistant.ts";
import { callEngine } from "../../test/support/fake-engine.ts";
import { ended, endsWithUs } from "../lib/children.ts";
import { printTable, progress, Report } from "../lib/report.ts";
import { quantile } from "../lib/statistics.ts";
import { randomShapes, type Shape, twelveByTwo } from "../sim/shapes/shape.ts";
import { type Talked, talk } from "./talk.ts";

const { values } = parseArgs({
  options: {
    "llama-server": { type: "string" },
    chat: { type: "string" },
    shapes: { type: "string", default: "0" },
    named: { type: "boolean", default: false },
    rounds: { type: "string", default: "3" },
    seed: { type: "string", default: "1" },
    arms: { type: "string", default: "bare,expected-time" },
    work: { type: "string", default: "8000" },
  },
});
const { "llama-server": program, chat } = values;
if (program === undefined || chat === undefined)
  throw new Error("conversations needs --llama-server PROGRAM and --chat FILE.gguf");

const SLOTS = 4;
const CONTEXT_TOKENS = 8192;
const START_WITHIN_MS = 120_000;

interface Figures extends Talked {
  /** Requests that the busiest replica served, as a share of all. */
  readonly busiestShare: number;
}

async function bare(shape: Shape): Promise<Figures> {
  const directory = await mkdtemp(join(tmpdir(), "bench-conversations-"));
  const socketPath = join(directory, "engine.sock");
  const slots = SLOTS * shape.replicas;
  const numbers = { "--threads": availableParallelism(), "--parallel": slots, "--ctx-size": slots * CONTEXT_TOKENS };
  const flags = Object.entries(numbers).flatMap(([flag, value]) => [flag, String(value)]);
  const child = endsWithUs(
    spawn(program ?? "", ["--model", chat ?? "", ...flags, "--host", socketPath], { stdio: "ignore" }),
  );
  try {
    const isUp = async (): Promise<boolean> => {
      if (child.exitCode !== null) throw new Error(`${program} ended while it was starting`);
      return (await callEngine(socketPath, "/health").catch(() => null))?.status === 200;
    };
    await eventually("the bare engine is healthy", isUp, START_WITHIN_MS);
    return { ...(await talk({ socketPath }, shape)), busiestShare: 1 };
  } finally {
    await ended(child);
    await rm(directory, { recursive: true, force: true });
  }
}

async function daemon(shape: Shape, policy: string): Promise<Figures> {
  const lines = [`ctx_size = ${CONTEXT_TOKENS}`, `slots = ${SLOTS}`, `replicas = ${shape.replicas}`, "preload = true"];
  await using assistant = await installAssistant({
    models: {
      bench: `[chat]\nmodel_name = "bench"\nsource = "${chat}"\nengine = "llama-server"\n${lines.join("\n")}\n`,
    },
    config: `[engine]\nllama_server_path = "${program}"\n`,
    scheduler: `policy = "${policy}"\n`,
  });
  const port = Number(new URL(await assistant.serve()).port);
  const isUp = async (): Promise<boolean> =>
    readyInstances(await assistant.status(), "bench").length === shape.replicas;
  await eventually("all replicas are up", isUp, START_WITHIN_MS);
  const talked = await talk({ port }, shape);
  const served = readyInstances(await assistant.status(), "bench").map(({ requestsServed }) => requestsServed);
  return { ...talked, busiestShare: Math.max(...served) / talked.requests };
}

const arms = values.arms.split(",");
const report = new Report("conversation-shapes");

/** Every arm on one shape; the ratios are to the first arm's figures. */
async function compare(shape: Shape, round: number): Promise<Map<string, Figures>> {
  const found = new Map<string, Figures>();
  for (const arm of round % 2 === 0 ? arms : [...arms].reverse()) {
    progress(`${shape.name}: ${arm}`);
    const figures = arm === "bare" ? await bare(shape) : await daemon(shape, arm);
    found.set(arm, figures);
    report.add({ bench: "conversations", measure: "shape", arm, shape, ...figures });
  }
  return found;
}

function show(title: string, runs: readonly ReadonlyMap<string, Figures>[]): void {
  const rows = [
    [
      "arm",
      ...["prefilled ÷ needed", "TTFT p50 ÷ bare", "TTFT p99 ÷ bare", "busiest share"].flatMap((name) => [
        `${name}: median`,
        "worst",
      ]),
    ],
  ];
  for (const arm of arms) {
    const row = [arm];
    const add = (measure: string, value: (figures: Figures, base: Figures) => number): void => {
      const all = runs.flatMap((run) => {
        const [figures, base] = [run.get(arm), run.get("bare")];
        return figures === undefined ? [] : [value(figures, base ?? figures)];
      });
      const sorted = all.sort((a, b) => a - b);
      const [median, worst] = [quantile(sorted, 0.5), sorted.at(-1) ?? Number.NaN];
      report.add({ bench: "conversations", measure: `${title}: ${measure}`, arm, runs: sorted.length, median, worst });
      row.push(median.toFixed(2), worst.toFixed(2));
    };
    add("prefilled ÷ needed", ({ prefilledOfNeeded }) => prefilledOfNeeded);
    add("TTFT p50 ÷ bare", ({ ttftP50Ms }, base) => ttftP50Ms / base.ttftP50Ms);
    add("TTFT p99 ÷ bare", ({ ttftP99Ms }, base) => ttftP99Ms / base.ttftP99Ms);
    add("busiest share", ({ busiestShare }) => busiestShare);
    rows.push(row);
  }
  console.log(`\n${title}`);
  printTable(rows);
}

const seed = Number(values.seed);
const limits = {
  contextTokens: 0.8 * CONTEXT_TOKENS,
  workTokens: Number(values.work),
  maxReplicas: availableParallelism(),
};
const shapes = randomShapes(seed, Number(values.shapes), limits);
const runs: Map<string, Figures>[] = [];
for (const [index, shape] of shapes.entries()) runs.push(await compare(shape, index));
if (runs.length > 0) show(`${runs.length} random shapes`, runs);
const named: Map<string, Figures>[] = [];
for (let round = 0; values.named && round < Number(values.rounds); round++)
  named.push(await compare(twelveByTwo(seed + round), round));
if (named.length > 0) show("twelve by two", named);
console.log(`\nkept in ${report.save({ shapes: shapes.length, seed, slots: SLOTS, arms, work: limits.workTokens })}`);
