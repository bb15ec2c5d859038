import type { InstanceAction } from "../../api/status.ts";
import { type Column, columns, type InstanceRow, sortRows } from "../rows.ts";

/** What the keys of the live view have brought about. */
export interface PsState {
  readonly selectedId: string | null;
  /** Index into `columns`. */
  readonly sortIndex: number;
  readonly pane: "table" | "logs" | "help";
  /** The instance whose stop waits for a yes. */
  readonly confirmStop: string | null;
  /** Result of the last action, shown until the next key. */
  readonly message: string | null;
}

export const initialState: PsState = {
  selectedId: null,
  sortIndex: 0,
  pane: "table",
  confirmStop: null,
  message: null,
};

export type PsKey = "up" | "down" | "sort" | "stop" | "restart" | "pin" | "logs" | "help" | "quit" | "yes" | "no";

/** What the view must do in addition to showing the new state. */
export type PsEffect =
  | { readonly type: "act"; readonly id: string; readonly action: InstanceAction["action"] }
  | { readonly type: "quit" };

const KEYS: Readonly<Record<string, PsKey>> = {
  k: "up",
  j: "down",
  s: "sort",
  x: "stop",
  r: "restart",
  p: "pin",
  l: "logs",
  "?": "help",
  h: "help",
  q: "quit",
  y: "yes",
  Y: "yes",
  n: "no",
};

interface PressedKey {
  readonly upArrow?: boolean;
  readonly downArrow?: boolean;
  readonly escape?: boolean;
  readonly ctrl?: boolean;
  readonly return?: boolean;
}

/** The meaning of a key press, or null. */
export function keyOf(input: string, key: PressedKey): PsKey | null {
  if (key.ctrl === true) return input === "c" ? "quit" : null;
  if (key.upArrow === true) return "up";
  if (key.downArrow === true) return "down";
  if (key.escape === true) return "no";
  if (key.return === true) return "logs";
  return KEYS[input] ?? null;
}

export const sortColumn = (state: PsState): Column => columns[state.sortIndex % columns.length] as Column;

export const rowsInOrder = (rows: readonly InstanceRow[], state: PsState): InstanceRow[] =>
  sortRows(rows, sortColumn(state));

/** The selected row; the first one where nothing, or something that is gone, was selected. */
export function selectedRow(ordered: readonly InstanceRow[], state: PsState): InstanceRow | null {
  return ordered.find((row) => row.instance.id === state.selectedId) ?? ordered[0] ?? null;
}

/**
 * The next state, and what to do. `rows` are those of the latest status, `sortable` the columns on the screen. Pure.
 */
export function psReduce(
  state: PsState,
  key: PsKey,
  rows: readonly InstanceRow[],
  sortable: readonly Column[],
): { state: PsState; effect: PsEffect | null } {
  const ordered = rowsInOrder(rows, state);
  const selected = selectedRow(ordered, state)?.instance ?? null;
  const quiet = { ...state, message: null };
  const only = (next: PsState): { state: PsState; effect: null } => ({ state: next, effect: null });
  const act = (next: PsState, id: string, action: InstanceAction["action"]) => ({
    state: next,
    effect: { type: "act", id, action } as const,
  });

  if (key === "quit") return { state: quiet, effect: { type: "quit" } };
  if (state.confirmStop !== null) {
    const answered = { ...quiet, confirmStop: null };
    return key === "yes"
      ? act(answered, state.confirmStop, "stop")
      : only({ ...answered, message: `${state.confirmStop} goes on.` });
  }
  switch (key) {
    case "up":
    case "down": {
      const at = ordered.findIndex((row) => row.instance === selected);
      const next = ordered[Math.min(ordered.length - 1, Math.max(0, at + (key === "up" ? -1 : 1)))];
      return only({ ...quiet, selectedId: next?.instance.id ?? null });
    }
    case "sort": {
      // Only columns that can be seen: a sort by a hidden one looks like disorder.
      const shown = sortable.length > 0 ? sortable : columns;
      const at = shown.indexOf(sortColumn(state));
      return only({
        ...quiet,
        selectedId: selected?.id ?? null,
        sortIndex: columns.indexOf(shown[(at + 1) % shown.length] as Column),
      });
    }
    case "logs":
    case "help":
      return only({ ...quiet, selectedId: selected?.id ?? null, pane: state.pane === key ? "table" : key });
    case "no":
      return only({ ...quiet, pane: "table" });
    case "yes":
      return only(quiet);
    default:
      break;
  }
  if (selected === null) return only({ ...quiet, message: "No instance is selected." });
  const kept = { ...quiet, selectedId: selected.id };
  if (key === "stop") return only({ ...kept, confirmStop: selected.id });
  if (key === "restart") return act(kept, selected.id, "restart");
  return act(kept, selected.id, selected.pinned ? "unpin" : "pin");
}

/** Rows that fit into `height` lines with the selected one among them. */
export function scrollWindow<Row>(
  rows: readonly Row[],
  selected: number,
  height: number,
): { readonly first: number; readonly rows: readonly Row[] } {
  const room = Math.max(1, height);
  const first = Math.max(0, Math.min(selected - Math.floor(room / 2), rows.length - room));
  return { first, rows: rows.slice(first, first + room) };
}
