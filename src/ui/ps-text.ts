import type { DaemonStatus } from "../api/status.ts";
import { noticeLine, restartLines } from "./notices.ts";
import { columns, sortRows, visibleRows } from "./rows.ts";
import { deathSentence } from "./summary.ts";
import { plainTable } from "./table.ts";

/** `ps` as plain lines: the table with nothing cut, then what died and why, and what is wrong with the configuration. */
export function psText(status: DaemonStatus): string[] {
  const [byName] = columns;
  const rows = byName === undefined ? [] : sortRows(visibleRows(status), byName);
  const deaths = rows.flatMap((row) => deathSentence(row.instance, row.now) ?? []);
  const broken = status.models.flatMap((model) => (model.error === null ? [] : [`${model.name}: ${model.error}`]));
  const trouble = [...deaths, ...broken, ...status.notices.map(noticeLine), ...restartLines(status.restartSettings)];
  return [...plainTable(columns, rows), ...(trouble.length > 0 ? ["", ...trouble] : [])];
}
