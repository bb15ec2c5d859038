/** How much a finding matters: `broken` keeps Assistant from working, `warning` makes it worse than it could be. */
export type Level = "ok" | "info" | "warning" | "broken";

/** One result of `doctor`. */
export interface Finding {
  readonly area: "machine" | "engines" | "files" | "configuration" | "models" | "providers" | "daemon";
  readonly subject: string;
  readonly level: Level;
  /** What was found, one sentence or less. */
  readonly found: string;
  /** What to do about it, or null. */
  readonly remedy: string | null;
}

/** Findings of one area, without the words that all of them share. */
export const findingsOf =
  (area: Finding["area"]) =>
  (subject: string, level: Level, found: string, remedy: string | null = null): Finding => ({
    area,
    subject,
    level,
    found,
    remedy,
  });
