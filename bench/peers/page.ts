/** The peers' part of docs/performance.md. */
import type { Row } from "../lib/report.ts";

interface Results {
  readonly rows: readonly Row[];
  readonly versions?: Readonly<Record<string, string>>;
}

const number = (value: number): string =>
  Math.abs(value) >= 100 ? Math.round(value).toLocaleString("en-US") : value.toFixed(1);
const table = (head: readonly string[], rows: readonly (readonly string[])[]): string =>
  [head, head.map(() => "---"), ...rows].map((cells) => `| ${cells.join(" | ")} |`).join("\n");
const spread = (row: Row): string =>
  [row["median"], row["low"], row["high"]].map((value) => Number(value).toFixed(2)).join(" / ");

const measures: Readonly<Record<string, readonly [title: string, scale: number]>> = {
  requestsPerSecond1: ["requests/s, 1 client", 1],
  requestsPerSecond8: ["8 clients", 1],
  requestsPerSecond32: ["32 clients", 1],
  p50At1Us: ["p50, 1 client, µs", 1],
  p99At32Us: ["p99, 32 clients, ms", 1000],
  cpuPerChunkUs: ["CPU per chunk, µs", 1],
  gapP99Us: ["gap p99, ms", 1000],
};

/** What docs/performance.md says of the peers. */
export function peersPart({ rows, versions }: Results): string {
  const arms = rows.filter((row) => row.measure === "arm");
  const of = (arm: unknown, measure: string): string => {
    const row = rows.find((one) => one["arm"] === arm && one.measure === measure && one["median"] !== undefined);
    return row === undefined
      ? "–"
      : `${number(Number(row["median"]) / (measures[measure]?.[1] ?? 1))}${row["bounded"] === true ? "*" : ""}`;
  };
  const measured = arms
    .filter((row) => row["missing"] === undefined)
    .map(({ arm }) => [String(arm), ...Object.keys(measures).map((measure) => of(arm, measure))]);
  const notes = rows.flatMap(({ arm, measure, answers, missing, failed }) => {
    const version = versions?.[String(arm)];
    const given = Object.entries(answers ?? {}).map(([form, what]) => `${form} answers: ${String(what)}`);
    if (measure === "arm" && missing === undefined)
      return [`- ${arm}${version ? ` (${version})` : ""}: ${given.join("; ")}.`];
    const why = String(missing ?? failed ?? "").split("\n")[0];
    return why ? [`- ${arm}${missing === undefined ? `, ${measure}` : ""}: not measured: ${why}`] : [];
  });
  const goals = rows.filter(({ arm, goal }) => String(arm).startsWith("daemon/") && goal !== undefined);
  const ratios = goals.map((row) => [
    `daemon ÷ ${String(row["arm"]).slice(7)}`,
    row.measure,
    spread(row),
    String(row["goal"]),
    row["met"] === null ? "" : row["met"] ? "yes" : "no",
  ]);
  return [
    "The complete daemon, with an API key, compared with programs that do part of its work, each with one worker process, without a request log and without limits, in front of the same stub. " +
      "Streams: 32 at once, 200 chunks each, one every 10 ms. `*`: limited by the stub.",
    table(["", ...Object.values(measures).map(([title]) => title)], measured),
    table(["", "measure", "median / low / high", "goal", "met"], ratios),
    notes.join("\n"),
  ].join("\n\n");
}
