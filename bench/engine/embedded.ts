/**
 * The two engines side by side on a real model: `npm run bench -- embedded --model FILE.gguf --llama-server PROGRAM
 * [--rounds N]` (after `npm run build`). Writes bench/results/embedded.json. Both are loaded, and asked in turns, so
 * that both meet the same noise.
 */
import { parseArgs } from "node:util";
import { installAssistant } from "../../test/support/assistant.ts";
import { printTable, Report } from "../lib/report.ts";
import { shown, spread } from "../lib/statistics.ts";
import { stream } from "./client.ts";

const { values } = parseArgs({
  options: { model: { type: "string" }, "llama-server": { type: "string" }, rounds: { type: "string", default: "3" } },
});
if (values.model === undefined || values["llama-server"] === undefined)
  throw new Error("usage: npm run bench -- embedded --model FILE.gguf --llama-server PROGRAM [--rounds N]");

const TOKENS = 128;
const THREADS = 2;
const arms = ["native", "embedded"] as const;
type Arm = (typeof arms)[number];
const engines: Readonly<Record<Arm, string>> = { native: "llama-server", embedded: "node-llama-cpp" };

await using assistant = await installAssistant({
  config: `[engine]\nllama_server_path = "${values["llama-server"]}"\n`,
  scheduler: `thread_budget = ${2 * THREADS}`,
  models: Object.fromEntries(
    arms.map((arm) => [
      arm,
      `[chat]\nmodel_name = "${arm}"\nsource = "${values.model}"\nengine = "${engines[arm]}"\nctx_size = 2048\nslots = 8\nthreads = ${THREADS}\n`,
    ]),
  ),
});
const port = Number(new URL(await assistant.serve()).port);

/** Tokens per second of so many streams together. */
async function rate(arm: Arm, streams: number): Promise<number> {
  const beganAt = performance.now();
  const prompt = "Name three rivers and say where they end.";
  const figures = await Promise.all(
    Array.from({ length: streams }, (_, index) => stream({ port }, `${index}. ${prompt}`, TOKENS, arm)),
  );
  return (1000 * figures.reduce((sum, { tokens }) => sum + tokens, 0)) / (performance.now() - beganAt);
}

const report = new Report("embedded");
const table: string[][] = [["streams", "arm", "tokens/s", "goal"]];
for (const arm of arms) await rate(arm, 8);
for (const streams of [1, 8]) {
  const rates: Record<Arm, number[]> = { native: [], embedded: [] };
  for (let round = 0; round < Number(values.rounds); round++)
    for (const arm of round % 2 === 0 ? arms : arms.toReversed()) rates[arm].push(await rate(arm, streams));
  const ratios = rates.embedded.map((value, index) => value / (rates.native[index] ?? Number.NaN));
  const rows = [
    ...arms.map((arm) => [arm, rates[arm], undefined] as const),
    ["embedded ÷ native", ratios, "≥ 0.8"] as const,
  ];
  for (const [arm, figures, goal] of rows) {
    const row = { bench: "embedded", measure: "tokens/s", streams, arm, ...spread(figures) };
    report.add(goal === undefined ? row : { ...row, goal });
    table.push([String(streams), arm, shown(spread(figures)), goal ?? ""]);
  }
}
printTable(table);
console.log(`\nkept in ${report.save({ model: values.model.split("/").at(-1), threads: THREADS })}`);
