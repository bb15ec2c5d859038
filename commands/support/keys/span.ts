import { AssistantError } from "../../../src/core/errors.ts";

const UNITS = { s: 1, m: 60, h: 3_600, d: 86_400, w: 604_800 } as const;

/** Seconds of a span such as `90s`, `15m`, `24h`, `30d` or `2w`. Throws `usage`. */
export function spanSeconds(text: string, flag: string): number {
  const [, count, unit] = /^(\d{1,6})([smhdw])$/.exec(text) ?? [];
  if (count !== undefined && unit !== undefined) return Number(count) * UNITS[unit as keyof typeof UNITS];
  throw wrong(text, flag, "a span such as 15m, 24h, 30d or 2w");
}

/**
 * Epoch milliseconds of a date (`2027-01-31`, or with a time), or of a span `ahead` or back from `now`. Throws `usage`.
 */
export function timeOf(text: string, flag: string, now: number, direction: "ahead" | "back"): number {
  if (/^\d+[smhdw]$/.test(text)) return now + (direction === "ahead" ? 1 : -1) * spanSeconds(text, flag) * 1_000;
  const time = /^\d{4}-\d\d-\d\d/.test(text) ? Date.parse(text) : Number.NaN;
  if (!Number.isNaN(time)) return time;
  throw wrong(text, flag, "a date such as 2027-01-31, or a span such as 24h or 30d");
}

/** A number above 0. Throws `usage`. */
export function positive(text: string, flag = "weight"): number {
  const value = Number(text);
  if (Number.isFinite(value) && value > 0) return value;
  throw wrong(text, flag, "a number above 0");
}

const wrong = (text: string, flag: string, expected: string): AssistantError =>
  new AssistantError("usage", `--${flag} takes ${expected}; found ${JSON.stringify(text)}.`, { param: flag });
