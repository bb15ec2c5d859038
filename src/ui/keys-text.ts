import type { AuditEntry } from "../api/audit.ts";
import type { KeyView } from "../api/keys.ts";
import { alignColumns } from "./table.ts";

const LIMITS = [
  ["maxInFlight", "at once"],
  ["requestsPerMinute", "requests/min"],
  ["requestsPerDay", "requests/day"],
  ["tokensPerMinute", "tokens/min"],
  ["tokensPerDay", "tokens/day"],
  ["maxStoredMib", "MiB stored"],
  ["maxStoredRecords", "records stored"],
] as const satisfies readonly (readonly [keyof KeyView, string])[];

/** Keys as a table. Pure. */
export function keysText(keys: readonly KeyView[]): string[] {
  const rows = keys.map((key) => [
    key.name,
    key.state,
    key.hint === "" ? "-" : `…${key.hint}`,
    (key.scopes ?? ["inference"]).join(","),
    key.models?.join(",") ?? "all",
    limitsOf(key).join(", ") || "none",
    timeText(key.expiresAt, "never"),
    key.source,
  ]);
  return alignColumns([["NAME", "STATE", "KEY", "SCOPES", "MODELS", "LIMITS", "EXPIRES", "FROM"], ...rows]);
}

/** One key, a line for each thing. Pure. */
export function keyText(key: KeyView): string[] {
  const rows: [string, string][] = [
    ["name", key.name],
    ["state", key.state],
    ["from", key.source],
    ["key", key.hint === "" ? "-" : `…${key.hint}`],
    ["scopes", (key.scopes ?? ["inference"]).join(", ")],
    ["models", key.models?.join(", ") ?? "all"],
    ["limits", limitsOf(key).join(", ") || "none"],
    ["priority", String(key.priority ?? "50 (default)")],
    ["weight", String(key.weight ?? "1 (default)")],
    ...(key.stored === undefined ? [] : [["stored", storedText(key.stored)] satisfies [string, string]]),
    ["created", timeText(key.createdAt, "-")],
    ["expires", timeText(key.expiresAt, "never")],
  ];
  if (key.rotatedAt !== undefined) rows.push(["rotated", timeText(key.rotatedAt, "-")]);
  if (key.previousUntil !== undefined) rows.push(["old key until", timeText(key.previousUntil, "-")]);
  if (key.revokedAt !== undefined) rows.push(["revoked", timeText(key.revokedAt, "-")]);
  return alignColumns(rows);
}

/** The audit trail as a table. Pure. */
export const auditText = (entries: readonly AuditEntry[]): string[] =>
  alignColumns([
    ["TIME", "WHO", "VIA", "ACTION", "TARGET", "STATUS"],
    ...entries.map(({ at, actor, via, action, target, status }) => [
      new Date(at).toISOString().slice(0, 19).replace("T", " "),
      actor,
      via,
      action,
      target ?? "-",
      String(status),
    ]),
  ]);

const limitsOf = (key: KeyView): string[] =>
  LIMITS.flatMap(([field, unit]) => (key[field] === undefined ? [] : [`${key[field]} ${unit}`]));

const storedText = ({ bytes, records }: NonNullable<KeyView["stored"]>): string =>
  `${(bytes / 2 ** 20).toFixed(1)} MiB in ${records} ${records === 1 ? "record" : "records"}`;

const timeText = (time: number | undefined, missing: string): string =>
  time === undefined ? missing : `${new Date(time).toISOString().slice(0, 16).replace("T", " ")} UTC`;
