import type { Row } from "../lib/report.ts";

interface Results {
  readonly rows: readonly Row[];
}

const number = (value: unknown, digits = 2): string => (typeof value === "number" ? value.toFixed(digits) : "");
const table = (head: readonly string[], rows: readonly (readonly string[])[]): string =>
  [head, head.map(() => "---"), ...rows].map((cells) => `| ${cells.join(" | ")} |`).join("\n");

/** Of `compose workers`. */
export function composedWorkersPart({ rows }: Results): string {
  const of = (measure: string): readonly Row[] => rows.filter((row) => row.measure === measure);
  const spread = ({ median, low, high }: Row): string => `${number(median)} (${number(low)}–${number(high)})`;
  const routes = of("route").map((row) => [
    ...[row["workers"], row["names"]].map(String),
    ...[row["routeP50Us"], row["routeP99Us"], row["firstRegistrationsUs"], row["lastRegistrationsUs"]].map((each) =>
      number(each, 1),
    ),
  ]);
  const added = [
    ...of("addedP50Us").map((row) => [`${row["arm"]}: added latency p50, µs`, spread(row), ""]),
    ...of("addedRatio").map((row) => ["daemon ÷ skeleton", spread(row), `≤ ${row["goal"]}`]),
  ];
  return [
    "A worker that answers at once, called directly, through a bare proxy, and through the daemon, alternately.",
    table(["measure", "median (range)", "goal"], added),
    "The scheduler's decision for one request (goal: ≤ 50 µs), and for the first and the last tenth of the workers to register.",
    table(["workers", "names", "route p50, µs", "p99, µs", "first registrations, µs", "last, µs"], routes),
  ].join("\n\n");
}

/** Of `compose capabilities`. */
export function composedCapabilitiesPart({ rows }: Results): string {
  const [first] = rows;
  return [
    `${first?.["workers"]} workers with ${first?.["capabilities"]} capabilities, registered by \`/register\`. *Decision* is the lookup by two keys; *route* is \`GET /route\` from one client over a keep-alive connection.`,
    table(
      ["measure", "unit", "p50", "p99", "goal"],
      rows.map((row) => [
        row.measure,
        String(row["unit"]),
        number(row["p50"] ?? row["mean"], 3),
        number(row["p99"], 3),
        row["goal"] === undefined ? "" : `≤ ${row["goal"]}`,
      ]),
    ),
  ].join("\n\n");
}
