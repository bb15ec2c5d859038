import { truncate } from "./format.ts";
import { printableLine } from "./printable.ts";
import type { Cell, Column, InstanceRow } from "./rows.ts";

const GAP = 2;

interface FittedColumn {
  readonly column: Column;
  readonly width: number;
}

export interface FittedTable {
  readonly columns: readonly FittedColumn[];
  /** One line of cells per row, cut and padded to the widths. */
  readonly lines: readonly (readonly Cell[])[];
}

/**
 * The columns that fit into `width` characters, two blanks apart: those of the lowest priority leave first, and what
 * then is still too wide is cut where the column allows it.
 */
export function fitTable(all: readonly Column[], rows: readonly InstanceRow[], width: number): FittedTable {
  const measured = all.map((column) => {
    const cells = rows.map((row) => column.cell(row));
    return { column, cells, width: Math.max(column.title.length, ...cells.map((cell) => cell.text.length)) };
  });
  let kept = measured;
  const least = (): number =>
    kept.reduce((sum, { column, width }) => sum + Math.min(width, column.shrinkTo ?? width) + GAP, -GAP);
  while (kept.length > 1 && least() > width) {
    const weakest = Math.max(...kept.map(({ column }) => column.priority));
    kept = kept.filter(({ column }) => column.priority !== weakest);
  }
  let spare = width - least();
  const fitted = kept.map((entry) => {
    const minimum = Math.min(entry.width, entry.column.shrinkTo ?? entry.width);
    const extra = Math.max(0, Math.min(spare, entry.width - minimum));
    spare -= extra;
    return { ...entry, width: Math.min(minimum + extra, Math.max(1, width)) };
  });
  return {
    columns: fitted.map(({ column, width }) => ({ column, width })),
    lines: rows.map((_, index) =>
      fitted.map(({ column, cells, width }) => pad(cells[index] ?? { text: "", tone: "plain" }, width, column.align)),
    ),
  };
}

function pad(cell: Cell, width: number, align: Column["align"]): Cell {
  const text = truncate(cell.text, width);
  return { ...cell, text: align === "right" ? text.padStart(width) : text.padEnd(width) };
}

/** The titles, padded as the cells below them are. */
export const titleLine = (table: FittedTable): string[] =>
  table.columns.map(({ column, width }) =>
    column.align === "right" ? column.title.padStart(width) : column.title.padEnd(width),
  );

/** Rows of text as aligned columns, two blanks apart, without blanks at line ends. */
export function alignColumns(written: readonly (readonly string[])[]): string[] {
  const rows = written.map((row) => row.map(printableLine));
  const widths: number[] = [];
  for (const row of rows) {
    for (const [index, text] of row.entries()) widths[index] = Math.max(widths[index] ?? 0, text.length);
  }
  return rows.map((row) =>
    row
      .map((text, index) => text.padEnd(widths[index] ?? 0))
      .join("  ")
      .trimEnd(),
  );
}

/** The whole table as plain text, nothing cut: for files, pipes and `grep`. */
export function plainTable(all: readonly Column[], rows: readonly InstanceRow[]): string[] {
  const table = fitTable(all, rows, Number.MAX_SAFE_INTEGER);
  return [titleLine(table), ...table.lines.map((cells) => cells.map((cell) => cell.text))].map((texts) =>
    texts.join("  ").trimEnd(),
  );
}
