import type { UsageReport, UsageRow } from "../api/usage.ts";
import { plural } from "./format.ts";
import { alignColumns } from "./table.ts";

const TITLES = ["KEY", "MODEL", "REQUESTS", "FAILED", "PROMPT TOKENS", "CACHED", "COMPLETION TOKENS"];

/** What each key has used as a table, and what all have together below it. Pure. */
export function usageText({ since, usage }: UsageReport): string[] {
  const from = `Since ${new Date(since).toISOString().slice(0, 16).replace("T", " ")} UTC`;
  if (usage.length === 0) return [`${from}: no requests.`];
  const rows = usage.map((row) => [row.tenant, row.model === "" ? "-" : row.model, ...numbers(row)]);
  const sum = (of: (row: UsageRow) => number): number => usage.reduce((total, row) => total + of(row), 0);
  const tokens = sum((row) => row.promptTokens + row.completionTokens);
  return [
    ...alignColumns([TITLES, ...rows]),
    `${from}: ${plural(
      sum((row) => row.requests),
      "request",
    )}, ${plural(tokens, "token")}.`,
  ];
}

const numbers = ({ requests, failed, promptTokens, cachedTokens, completionTokens }: UsageRow): string[] =>
  [requests, failed, promptTokens, cachedTokens, completionTokens].map(String);
