/** Maximum number of distinct names. */
const MAX_NAMES = 2_000;
const OTHER = "other";

/**
 * Names as labels of metrics and rows of usage. Workers and replicas choose their own, as often as they like: what
 * comes after the first thousands is counted together, so that the daemon and its scrapers do not grow without end.
 */
export class BoundedNames {
  readonly #known = new Set<string>();

  of(name: string): string {
    if (this.#known.has(name)) return name;
    if (this.#known.size >= MAX_NAMES) return OTHER;
    this.#known.add(name);
    return name;
  }
}
