/** What docs/performance.md says of the calibration and of the workloads. */
import type { Row } from "../lib/report.ts";
import { quantile } from "../lib/statistics.ts";

interface Rows {
  readonly rows: readonly Row[];
  readonly model?: string;
}

const table = (head: readonly string[], rows: readonly (readonly string[])[]): string =>
  [head, head.map(() => "---"), ...rows].map((cells) => `| ${cells.join(" | ")} |`).join("\n");
const fixed = (value: unknown, digits: number): string =>
  typeof value === "number" && Number.isFinite(value) ? value.toFixed(digits) : "";
const percent = (value: unknown): string => `${fixed(Number(value) * 100, 1)} %`;

export function calibratePart({ rows, model }: Rows): string {
  const parameters = rows
    .filter((row) => "value" in row)
    .map((row) => [row.measure, Number(row["value"]).toPrecision(4)]);
  const errors = rows
    .filter((row) => row.measure.startsWith("relative error"))
    .map((row) => [
      row.measure,
      fixed(row["realP50"], 0),
      fixed(row["stubP50"], 0),
      percent(row["median"]),
      percent(row["p90"]),
    ]);
  const caches = rows
    .filter((row) => row.measure === "prefilled ÷ new")
    .map((row) => [String(row["conversations"]), fixed(row["real"], 2), fixed(row["stub"], 2)]);
  return [
    `A stub engine replaces llama-server in workloads that must not depend on the machine's speed. Its parameters are fitted to the native engine with ${model ?? "the chat model"}; then both get the same requests, which were not used for the fit:`,
    table(["", "engine p50, ms", "stub p50, ms", "error, median", "error, p90"], errors),
    ...(caches.length > 0
      ? [
          "More conversations than slots, one request at a time: tokens prefilled in later turns, as a multiple of the new ones.",
          table(["conversations with", "engine", "stub"], caches),
        ]
      : []),
    table(["parameter", "fitted"], parameters),
  ].join("\n\n");
}

export function workloadsPart({ rows }: Rows): string {
  const of = (names: readonly string[]): Row[] => rows.filter((row) => names.includes(row.measure));
  const routed = of(["W3", "W4", "W5"]).filter((row) => row["policy"] !== undefined);
  const arms = new Map<string, Row[]>();
  for (const row of routed) {
    const arm = `${row.measure}${row["rate"] === undefined ? "" : ` × ${String(row["rate"])}`}|${String(row["policy"])}`;
    arms.set(arm, [...(arms.get(arm) ?? []), row]);
  }
  const median = (list: readonly Row[], field: string): number =>
    quantile(
      list.map((row) => Number(row[field])).sort((a, b) => a - b),
      0.5,
    );
  const policies = [...arms].map(([arm, list]) => [
    ...arm.split("|"),
    fixed(median(list, "ttftP50Ms"), 0),
    fixed(median(list, "ttftP99Ms"), 0),
    fixed(median(list, "hitRate"), 3),
    fixed(median(list, "prefilledOfNew"), 2),
  ]);
  const open = new Map<string, Row[]>();
  for (const row of of(["W1"])) {
    const name = `${String(row["fraction"])}|${String(row["arm"])}`;
    open.set(name, [...(open.get(name) ?? []), row]);
  }
  const opened = [...open].map(([name, list]) => [
    ...name.split("|"),
    fixed(median(list, "perSecond"), 0),
    ...["ttftP50Ms", "ttftP99Ms", "ttftP999Ms"].map((field) => fixed(median(list, field), 1)),
  ]);
  const ratios = rows
    .filter((row) => row["median"] !== undefined)
    .map((row) => [
      row.measure,
      `${fixed(row["median"], 2)} (${fixed(row["low"], 2)}–${fixed(row["high"], 2)})`,
      String(row["goal"] ?? ""),
    ]);
  const chaos = of(["W10"]).map((row) =>
    ["requests", "ok", "failed", "refused", "hung", "wrong", "launches"].map((field) => String(row[field])),
  );
  return [
    "The complete daemon in front of stub engines that behave like an 8B model on a large GPU, at twice its speed. Requests are sent on schedule, whether or not earlier ones are answered. Every answer is checked: it must belong to its prompt, complete and in order. W3 is a slice of an hour of a real service, W4 agents with a long shared prompt, more of them than slots, W5 prompts without shared prefixes.",
    ...(opened.length > 0
      ? [
          "An open loop of clients, at shares of the engine's own capacity (W1). Times are measured from when a request was due. *Direct* goes straight to the same engine.",
          table(["share of capacity", "arm", "requests/s", "TTFT p50, ms", "p99", "p99.9"], opened),
        ]
      : []),
    table(["workload", "policy", "TTFT p50, ms", "p99", "hit rate", "prefilled ÷ new, later turns"], policies),
    ...(ratios.length > 0 ? [table(["", "median (low–high)", "goal"], ratios)] : []),
    ...(chaos.length > 0
      ? [
          "Engines that crash, stall, reset connections and refuse requests (W10):",
          table(
            [
              "requests",
              "answered",
              "failed with an error",
              "refused",
              "without an end",
              "wrong answers",
              "engines started",
            ],
            chaos,
          ),
        ]
      : []),
  ].join("\n\n");
}
