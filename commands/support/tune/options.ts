import { AssistantError } from "../../../src/core/errors.ts";

const UNITS: Readonly<Record<string, number>> = { "": 1_000, s: 1_000, m: 60_000, h: 3_600_000 };
const MIN_MS = 1_000;

/** Milliseconds of `90`, `90s`, `2m`, `1h`. Throws `usage`. */
export function budgetOf(text: string): number {
  const [, amount, unit = ""] = /^(\d+(?:\.\d+)?)\s*([smh]?)$/.exec(text.trim()) ?? [];
  const milliseconds = amount === undefined ? 0 : Number(amount) * (UNITS[unit] ?? 0);
  if (milliseconds >= MIN_MS) return milliseconds;
  throw new AssistantError(
    "usage",
    `--budget: expected a time of at least one second, such as 90s or 5m, found ${JSON.stringify(text)}.`,
    { param: "budget" },
  );
}

/**
 * Why figures from this machine, now, are to be taken with care; null where it is quiet. `load`: processes that want a
 * core, as of the last minute.
 */
export function noiseText(load: number, cores: number): string | null {
  if (load < cores / 2) return null;
  return `Other programs keep this machine busy (load ${load.toFixed(1)} on ${cores} ${cores === 1 ? "core" : "cores"}): results will be inaccurate. Tune again when the machine is idle.`;
}
