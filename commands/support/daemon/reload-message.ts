import type { ReloadReport } from "../../../src/api/reload.ts";
import { noticeLine, restartLines } from "../../../src/ui/notices.ts";

/** What a reload did, in lines. Pure. */
export function reloadMessage(report: ReloadReport): string[] {
  const lines: string[] = [];
  const list = (label: string, names: readonly string[] | undefined): void => {
    if (names !== undefined && names.length > 0) lines.push(`${label}: ${names.join(", ")}`);
  };
  list("Added", report.added);
  list("Changed", report.changed);
  list("Removed", report.removed);
  if (lines.length === 0) lines.push("Reloaded; no model changed.");
  for (const notice of report.notices ?? []) {
    lines.push(noticeLine(notice));
  }
  lines.push(...restartLines(report.restartSettings));
  return lines;
}
