import { styleText } from "node:util";
import { printable, printableLine } from "../../../src/ui/printable.ts";

const LEVELS: Readonly<Record<number, { readonly name: string; readonly style: "gray" | "cyan" | "yellow" | "red" }>> =
  {
    10: { name: "trace", style: "gray" },
    20: { name: "debug", style: "gray" },
    30: { name: "info ", style: "cyan" },
    40: { name: "warn ", style: "yellow" },
    50: { name: "error", style: "red" },
    60: { name: "fatal", style: "red" },
  };

/**
 * One JSON line of the daemon's log as a person reads it: time, level, message, fields. Other lines stay as they are
 * but for control characters.
 */
export function formatLogLine(line: string, colour: boolean): string {
  const entry = parseLogLine(line);
  if (entry === null) return printable(line);
  const { level, time, msg, ...fields } = entry;
  const paint = (style: Parameters<typeof styleText>[0], text: string): string =>
    colour ? styleText(style, text, { validateStream: false }) : text;
  const known = LEVELS[Number(level)];
  const facts = Object.entries(fields).map(([key, value]) => printableLine(`${key}=${fieldText(value)}`));
  return [
    paint("gray", localTime(time)),
    known === undefined ? printableLine(String(level)) : paint(known.style, known.name),
    printableLine(String(msg ?? "")),
    facts.length === 0 ? "" : paint("gray", facts.join(" ")),
  ]
    .filter((part) => part !== "")
    .join(" ");
}

/** A line of the daemon's log; null for any other. */
export function parseLogLine(line: string): Record<string, unknown> | null {
  if (!line.startsWith("{")) return null;
  try {
    const value: unknown = JSON.parse(line);
    return typeof value === "object" && value !== null && "level" in value ? (value as Record<string, unknown>) : null;
  } catch {
    return null;
  }
}

function fieldText(value: unknown): string {
  if (typeof value === "string") return /[\s"=]/u.test(value) || value === "" ? JSON.stringify(value) : value;
  if (typeof value === "object" && value !== null && "message" in value)
    return JSON.stringify((value as { message: unknown }).message);
  return JSON.stringify(value) ?? "";
}

/** `2026-03-01 14:05:09.123` in the reader's time zone, as the clock on the wall says it. */
function localTime(time: unknown): string {
  const date = new Date(typeof time === "number" || typeof time === "string" ? time : Number.NaN);
  if (Number.isNaN(date.getTime())) return "";
  const two = (value: number): string => String(value).padStart(2, "0");
  const day = `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
  return `${day} ${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}.${String(date.getMilliseconds()).padStart(3, "0")}`;
}
