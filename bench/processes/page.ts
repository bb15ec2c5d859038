/** What docs/performance.md says of several processes on one machine. */
import type { Row } from "../lib/report.ts";

interface Results {
  readonly rows: readonly Row[];
  readonly cores: number;
  readonly model?: string;
  readonly streams?: number;
}

const table = (head: readonly string[], rows: readonly (readonly string[])[]): string =>
  [head, head.map(() => "---"), ...rows].map((cells) => `| ${cells.join(" | ")} |`).join("\n");
const fixed = (value: unknown, digits: number): string =>
  typeof value === "number" && Number.isFinite(value) ? value.toFixed(digits) : "";
const spread = (row: Row | undefined): string =>
  row === undefined ? "" : `${fixed(row["median"], 2)} (${fixed(row["low"], 2)}–${fixed(row["high"], 2)})`;

export function processesPart({ rows, cores, model, streams }: Results): string {
  const summary = (measure: string, arm: unknown): Row | undefined =>
    rows.find((row) => row.measure === measure && row["arm"] === arm && row["median"] !== undefined);
  const arms = rows.filter((row) => row.measure === "tokens/s" && row["median"] !== undefined);
  const figures = arms.map((row) => [
    String(row["arm"]),
    String(row["what"]),
    spread(row),
    spread(summary("tokens/s ÷ single", row["arm"])),
    spread(summary("tokens/s ÷ untuned", row["arm"])),
    fixed(row["leastShare"], 2),
  ]);
  return [
    `${streams} streams of short prompts and answers with ${model ?? "the chat model"} on ${cores} cores. *Single* is one llama-server with all cores and a slot for each stream; its threads wait at barriers as under the daemon, or asleep (*passive waits*). *Models* and *replicas* run under the daemon with its defaults, ` +
      "*untuned* are as many llama-servers started with only the model as argument. The last column is the throughput of the slowest model, as a share of an equal part. Goals: ÷ single ≥ 0.9, ÷ untuned ≥ 3.",
    table(["arm", "what runs", "tokens/s", "÷ single", "÷ untuned", "least share"], figures),
  ].join("\n\n");
}
