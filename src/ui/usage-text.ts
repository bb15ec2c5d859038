import type { UsageDay, UsageReport, UsageRow } from "../api/usage.ts";
import { plural } from "./format.ts";
import { alignColumns } from "./table.ts";

const TITLES = ["KEY", "MODEL", "REQUESTS", "FAILED", "PROMPT TOKENS", "CACHED", "COMPLETION TOKENS"];

/** Columns of speech and transcripts, shown if there were any. */
const SOUND: readonly { readonly title: string; readonly of: (row: UsageRow) => number | undefined }[] = [
  { title: "CHARACTERS", of: (row) => row.characters },
  { title: "AUDIO SECONDS", of: (row) => row.audioSeconds },
];

/** What each key has used as a table, and what all have together below it. Pure. */
export function usageText({ since, usage }: UsageReport): string[] {
  const from = `Since ${new Date(since).toISOString().slice(0, 16).replace("T", " ")} UTC`;
  if (usage.length === 0) return [`${from}: no requests.`];
  const sound = SOUND.filter(({ of }) => usage.some((row) => of(row) !== undefined));
  const rows = usage.map((row) => [
    ...[row.tenant, row.model === "" ? "-" : row.model, ...numbers(row)],
    ...sound.map(({ of }) => String(Math.round(of(row) ?? 0))),
  ]);
  const sum = (of: (row: UsageRow) => number): number => usage.reduce((total, row) => total + of(row), 0);
  const tokens = sum((row) => row.promptTokens + row.completionTokens);
  return [
    ...alignColumns([[...TITLES, ...sound.map(({ title }) => title)], ...rows]),
    `${from}: ${plural(
      sum((row) => row.requests),
      "request",
    )}, ${plural(tokens, "token")}.`,
  ];
}

/** What each key has used on each day, as a table. Pure. */
export function usageDaysText(days: readonly UsageDay[]): string[] {
  if (days.length === 0) return ["No requests."];
  return alignColumns([
    ["DAY", ...TITLES],
    ...days.map((row) => [row.day, row.tenant, row.model === "" ? "-" : row.model, ...numbers(row)]),
  ]);
}

const numbers = ({ requests, failed, promptTokens, cachedTokens, completionTokens }: UsageRow): string[] =>
  [requests, failed, promptTokens, cachedTokens, completionTokens].map(String);
