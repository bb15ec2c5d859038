import type { DaemonStatus, InstanceStatus } from "../api/status.ts";
import { bar, formatBytes, formatCount, formatDuration, formatPercent, formatRate } from "./format.ts";

/** How a cell is to be coloured; the terminal's colours are the view's business. */
export type Tone = "plain" | "good" | "busy" | "bad" | "dim";

export interface Cell {
  readonly text: string;
  readonly tone: Tone;
}

/** One instance with what belongs to it from elsewhere in the status. */
export interface InstanceRow {
  readonly instance: InstanceStatus;
  /** Requests that wait for its model. */
  readonly queued: number;
  /** Epoch milliseconds of the status. */
  readonly now: number;
}

export interface Column {
  readonly title: string;
  readonly align: "left" | "right";
  /** Lower stays longer when the terminal is narrow. */
  readonly priority: number;
  /** Least width at which its content still says something; wider content is cut. Null: never cut. */
  readonly shrinkTo: number | null;
  readonly cell: (row: InstanceRow) => Cell;
  /** Ascending order of this; descending where `highFirst`. */
  readonly sortKey: (row: InstanceRow) => number | string;
  readonly highFirst: boolean;
}

const LOAD_BAR_CELLS = 6;
const FAULTS = new Set(["exit", "signal", "start-timeout", "spawn-error", "port-taken", "probe-failed", "wedged"]);

/** Whether it should be reported: it ended unexpectedly. */
export const diedByFault = (instance: InstanceStatus): boolean =>
  instance.lastDeath !== null && FAULTS.has(instance.lastDeath.cause);

/** Instances that are or should be up. One that was stopped on purpose is not among them. */
export function visibleRows(status: DaemonStatus): InstanceRow[] {
  const queued = new Map(status.models.map((model) => [model.name, model.queued]));
  return status.instances
    .filter((instance) => instance.state !== "absent" || diedByFault(instance))
    .map((instance) => ({ instance, queued: queued.get(instance.model) ?? 0, now: status.now }));
}

/** Rows in the order of a column; equal ones, and those of every other column, by id, so that nothing jumps about. */
export function sortRows(rows: readonly InstanceRow[], column: Column): InstanceRow[] {
  const direction = column.highFirst ? -1 : 1;
  return [...rows].sort((a, b) => {
    const [left, right] = [column.sortKey(a), column.sortKey(b)];
    const order =
      typeof left === "number" && typeof right === "number" ? left - right : String(left).localeCompare(String(right));
    return order === 0 ? a.instance.id.localeCompare(b.instance.id) : order * direction;
  });
}

const plain = (text: string): Cell => ({ text, tone: text === "-" ? "dim" : "plain" });

function stateCell({ instance, now }: InstanceRow): Cell {
  switch (instance.state) {
    case "ready":
      return { text: instance.pinned ? "ready*" : "ready", tone: instance.inFlight > 0 ? "busy" : "good" };
    case "starting":
      return { text: "loading", tone: "busy" };
    case "failed":
      return {
        text: instance.retryAt === null ? "failed" : `failed ↻${formatDuration(Math.max(0, instance.retryAt - now))}`,
        tone: "bad",
      };
    case "absent":
      return { text: "gone", tone: "bad" };
    default:
      return { text: instance.state, tone: "dim" };
  }
}

const uptimeMs = ({ instance, now }: InstanceRow): number | null =>
  instance.readyAt === null || instance.pid === null ? null : now - instance.readyAt;
const idleMs = ({ instance, now }: InstanceRow): number | null =>
  instance.idleStopAt === null ? null : instance.idleStopAt - now;

type Optional = "highFirst" | "shrinkTo" | "align";
const column = (fields: Omit<Column, Optional> & Partial<Pick<Column, Optional>>): Column => ({
  align: "right",
  shrinkTo: null,
  highFirst: true,
  ...fields,
});
const text = { align: "left", highFirst: false } as const;

/** All columns of `ps`, in their order on the screen. `s` cycles through them. */
export const columns: readonly Column[] = [
  column({
    ...text,
    title: "INSTANCE",
    priority: 0,
    cell: (row) => plain(row.instance.id),
    sortKey: (row) => row.instance.id,
  }),
  column({ ...text, title: "STATE", priority: 1, cell: stateCell, sortKey: (row) => row.instance.state }),
  column({
    ...text,
    title: "ENGINE",
    priority: 9,
    cell: (row) => plain(row.instance.engine),
    sortKey: (row) => row.instance.engine,
  }),
  column({
    ...text,
    title: "DEVICE",
    priority: 8,
    cell: (row) => plain(row.instance.device),
    sortKey: (row) => row.instance.device,
  }),
  column({
    title: "SLOTS",
    priority: 2,
    cell: ({ instance }) => ({
      text: `${instance.inFlight}/${instance.slots}`,
      tone: instance.inFlight > 0 ? "busy" : "plain",
    }),
    sortKey: (row) => row.instance.inFlight,
  }),
  column({
    title: "TOK/S",
    priority: 3,
    cell: (row) => plain(formatRate(row.instance.decodeTokensPerSecond)),
    sortKey: (row) => row.instance.decodeTokensPerSecond ?? -1,
  }),
  column({
    title: "LOAD",
    align: "left",
    priority: 5,
    cell: ({ instance }) => ({
      text: `${bar(instance.load, LOAD_BAR_CELLS)} ${formatPercent(instance.load)}`,
      tone: instance.load >= 1 ? "bad" : instance.load > 0 ? "busy" : "dim",
    }),
    sortKey: (row) => row.instance.load,
  }),
  column({
    title: "QUEUE",
    priority: 4,
    cell: (row) => ({ text: String(row.queued), tone: row.queued > 0 ? "busy" : "plain" }),
    sortKey: (row) => row.queued,
  }),
  column({
    title: "MEMORY",
    priority: 6,
    cell: (row) => plain(formatBytes(row.instance.memoryBytes)),
    sortKey: (row) => row.instance.memoryBytes ?? -1,
  }),
  column({
    title: "ESTIMATE",
    priority: 16,
    cell: (row) => plain(formatBytes(row.instance.estimatedMemoryBytes)),
    sortKey: (row) => row.instance.estimatedMemoryBytes ?? -1,
  }),
  column({
    title: "UPTIME",
    priority: 7,
    cell: (row) => plain(formatDuration(uptimeMs(row))),
    sortKey: (row) => uptimeMs(row) ?? -1,
  }),
  column({
    title: "CONTEXT",
    priority: 11,
    cell: (row) => plain(String(row.instance.contextTokens)),
    sortKey: (row) => row.instance.contextTokens,
  }),
  column({
    title: "PREFILL/S",
    priority: 10,
    cell: (row) => plain(formatRate(row.instance.prefillTokensPerSecond)),
    sortKey: (row) => row.instance.prefillTokensPerSecond ?? -1,
  }),
  column({
    title: "THREADS",
    priority: 13,
    cell: (row) => plain(String(row.instance.threads)),
    sortKey: (row) => row.instance.threads,
  }),
  column({
    title: "SERVED",
    priority: 12,
    cell: (row) => plain(formatCount(row.instance.requestsServed)),
    sortKey: (row) => row.instance.requestsServed,
  }),
  column({
    title: "STOPS IN",
    priority: 14,
    cell: (row) => plain(formatDuration(idleMs(row))),
    sortKey: (row) => idleMs(row) ?? Number.MAX_VALUE,
    highFirst: false,
  }),
  column({
    title: "PID",
    priority: 15,
    cell: (row) => plain(row.instance.pid === null ? "-" : String(row.instance.pid)),
    sortKey: (row) => row.instance.pid ?? -1,
    highFirst: false,
  }),
];
