import type { DaemonStatus } from "../api/status.ts";
import { noticeLine, restartLines } from "./notices.ts";
import { columns, sortRows, visibleRows } from "./rows.ts";
import { brokenModels, deathSentence, idleSentence } from "./summary.ts";
import { plainTable } from "./table.ts";

/**
 * `ps` as plain lines: the table with nothing cut, then what died and why, what is wrong with the configuration, and
 * hints.
 */
export function psText(status: DaemonStatus): string[] {
  const [byName] = columns;
  const rows = byName === undefined ? [] : sortRows(visibleRows(status), byName);
  const deaths = rows.flatMap((row) => deathSentence(row.instance, row.now) ?? []);
  const broken = brokenModels(status, rows).map(({ name, error }) => `${name}: ${error}`);
  const short = status.models.flatMap((model) => (model.replicasNote ? [`${model.name}: ${model.replicasNote}`] : []));
  const trouble = [
    ...deaths,
    ...broken,
    ...short,
    ...status.notices.map(noticeLine),
    ...restartLines(status.restartSettings),
    ...status.hints.map((hint) => `Hint: ${hint}`),
  ];
  const table = rows.length === 0 ? [idleSentence(status)] : plainTable(columns, rows);
  const atWorkers = status.models.filter(({ engine }) => engine === "worker").map(({ name }) => name);
  const workers = atWorkers.length === 0 ? [] : [`At workers: ${atWorkers.join(", ")}`];
  return [...table, ...workers, ...(trouble.length > 0 ? ["", ...trouble] : [])];
}
