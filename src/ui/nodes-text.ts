import type { NodeStatus } from "../api/nodes.ts";
import { formatDuration, plural } from "./format.ts";
import { alignColumns } from "./table.ts";

const TITLES = [
  "NAME",
  "ADDRESS",
  "STATE",
  "VERSION",
  "WEIGHT",
  "IN FLIGHT",
  "SERVED",
  "ROUND TRIP",
  "FIRST BYTE",
  "MODELS",
];

/**
 * Remote servers as a table, with the last error of those that are not up below it. `now`: epoch milliseconds. Pure.
 */
export function nodesText(nodes: readonly NodeStatus[], now: number): string[] {
  const rows = nodes.map((node) => [
    node.name,
    node.address,
    node.state,
    node.version ?? "-",
    String(node.weight),
    String(node.inFlight),
    String(node.requestsServed),
    milliseconds(node.latencyMs),
    milliseconds(node.firstByteMs),
    node.models.length === 0 ? "-" : node.models.join(", "),
  ]);
  return [...alignColumns([TITLES, ...rows]), ...nodes.flatMap((node) => trouble(node, now))];
}

/** One line for each server that is not up, or has failed a request. */
function trouble(node: NodeStatus, now: number): string[] {
  if (node.lastError === null || node.state === "disabled") return [];
  // Without an explanation, an old failure next to the state "up" looks contradictory.
  if (node.state === "up") return [`${node.name} is up; its last failure: ${node.lastError}`];
  const seen = node.seenAt === null ? "never seen" : `last seen ${formatDuration(now - node.seenAt)} ago`;
  return [`${node.name}: ${node.lastError} (${seen})`];
}

/** Requests of ours that other machines, or providers, work on now. */
export const inFlightElsewhere = (targets: readonly { readonly inFlight: number }[]): number =>
  targets.reduce((sum, { inFlight }) => sum + inFlight, 0);

/** "2 remote servers, 1 up". */
export function nodesSummary(nodes: readonly NodeStatus[]): string {
  const used = nodes.filter(({ state }) => state !== "disabled");
  return `${plural(used.length, "remote server")}, ${used.filter(({ state }) => state === "up").length} up`;
}

export const milliseconds = (value: number | null): string =>
  value === null ? "-" : value < 10 ? `${value.toFixed(1)} ms` : `${Math.round(value)} ms`;
