/** What is to happen when; the earliest first, equal times in the order in which they were added. */
export class Agenda<What> {
  readonly #items: { readonly at: number; readonly serial: number; readonly what: What }[] = [];
  #serial = 0;

  get nextAt(): number | null {
    return this.#items[0]?.at ?? null;
  }

  add(at: number, what: What): void {
    const items = this.#items;
    const item = { at, serial: this.#serial++, what };
    let index = items.length;
    items.push(item);
    while (index > 0) {
      const above = (index - 1) >> 1;
      const parent = items[above];
      if (parent === undefined || !before(item, parent)) break;
      items[index] = parent;
      index = above;
    }
    items[index] = item;
  }

  take(): What | null {
    const items = this.#items;
    const top = items[0];
    const last = items.pop();
    if (top === undefined || last === undefined) return null;
    if (items.length === 0) return top.what;
    let index = 0;
    for (;;) {
      let below = 2 * index + 1;
      let child = items[below];
      if (child === undefined) break;
      const right = items[below + 1];
      if (right !== undefined && before(right, child)) {
        child = right;
        below += 1;
      }
      if (!before(child, last)) break;
      items[index] = child;
      index = below;
    }
    items[index] = last;
    return top.what;
  }
}

const before = (
  a: { readonly at: number; readonly serial: number },
  b: { readonly at: number; readonly serial: number },
): boolean => a.at < b.at || (a.at === b.at && a.serial < b.serial);
