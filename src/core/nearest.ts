/** The cost grows with the product of both lengths, and typed names are short. */
const MAX_CHARACTERS = 100;

/**
 * Names of `candidates` that may have been meant by `given`, best first, at most `limit`. None if it cannot be a typed
 * name, such as a long text.
 */
export function nearestNames(given: string, candidates: Iterable<string>, limit = 3): string[] {
  if (given.length > MAX_CHARACTERS) return [];
  const wanted = given.toLowerCase();
  const scored: { name: string; distance: number }[] = [];
  for (const name of candidates) {
    if (name.length > MAX_CHARACTERS) continue;
    const lower = name.toLowerCase();
    const distance = lower.includes(wanted) || wanted.includes(lower) ? 0.5 : editDistance(wanted, lower);
    if (distance <= Math.max(2, Math.ceil(wanted.length / 3))) scored.push({ name, distance });
  }
  scored.sort((a, b) => a.distance - b.distance || a.name.localeCompare(b.name));
  return scored.slice(0, limit).map((entry) => entry.name);
}

/** Levenshtein distance. */
function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, column) => column);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const substitution = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(substitution, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1));
    }
    row = next;
  }
  return row[b.length] ?? 0;
}
