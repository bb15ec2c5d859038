import type { ReloadReport } from "../../../src/api/reload.ts";

/** What a reload did, in lines. Pure. */
export function reloadMessage(report: ReloadReport): string[] {
  const lines: string[] = [];
  const list = (label: string, names: readonly string[] | undefined): void => {
    if (names !== undefined && names.length > 0) lines.push(`${label}: ${names.join(", ")}`);
  };
  list("Added", report.added);
  list("Changed", report.changed);
  list("Removed", report.removed);
  if (lines.length === 0) lines.push("Read again; no model changed.");
  for (const notice of report.notices ?? []) {
    lines.push(`${notice.severity === "error" ? "Left out" : "Warning"}: ${notice.file}${notice.line === null ? "" : `:${notice.line}`}: ${notice.message}`);
  }
  if (report.restartNeeded === true) lines.push("Some settings (addresses, directories) take effect after `assistant stop` and `assistant serve`.");
  return lines;
}
