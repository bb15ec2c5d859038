/** Sizes as people read them, decimal units as Ollama and disk makers use: `98.4 MB`, `1.2 GB`. */
export function formatBytes(bytes: number): string {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let value = bytes;
  let unit = 0;
  while (value >= 999.5 && unit < units.length - 1) {
    value /= 1000;
    unit++;
  }
  return `${unit === 0 || value >= 99.95 ? Math.round(value) : value.toFixed(1)} ${units[unit]}`;
}

/** How long ago: `just now`, `5 minutes ago`, `2 weeks ago`. Times in epoch milliseconds. */
export function formatAge(then: number, now: number): string {
  const seconds = Math.max(0, (now - then) / 1000);
  const steps: readonly [limit: number, size: number, unit: string][] = [
    [3600, 60, "minute"],
    [86_400, 3600, "hour"],
    [14 * 86_400, 86_400, "day"],
    [61 * 86_400, 7 * 86_400, "week"],
    [730 * 86_400, 30.44 * 86_400, "month"],
    [Number.POSITIVE_INFINITY, 365.25 * 86_400, "year"],
  ];
  if (seconds < 60) return "just now";
  for (const [limit, size, unit] of steps) {
    if (seconds >= limit) continue;
    const count = Math.max(1, Math.floor(seconds / size));
    return `${count} ${unit}${count === 1 ? "" : "s"} ago`;
  }
  return "";
}

/** Counts of parameters: `135M`, `1.7B`. */
export function formatParameters(count: number): string {
  if (count >= 999.5e6) return `${(count / 1e9).toFixed(count < 99.95e9 ? 1 : 0)}B`;
  return `${Math.round(count / 1e6)}M`;
}
