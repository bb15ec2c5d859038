/** An item of an `IndexedHeap`, which owns the property; -1 means that the item is not in it. */
type Placed<Key extends string> = { [Name in Key]: number };

/**
 * A binary heap whose items know their position, so that any item can be moved or removed in O(log n). An item that is
 * in several heaps has a property for its position in each. Call `update` after a change of what `before` compares.
 */
export class IndexedHeap<Item extends Placed<Key>, Key extends string = "heapIndex"> {
  readonly #items: Item[] = [];
  readonly #before: (a: Item, b: Item) => boolean;
  readonly #key: Key;

  constructor(before: (a: Item, b: Item) => boolean, key = "heapIndex" as Key) {
    this.#before = before;
    this.#key = key;
  }

  get size(): number {
    return this.#items.length;
  }

  /** In the heap's order: the children of index i are at 2i + 1 and 2i + 2. */
  get items(): readonly Item[] {
    return this.#items;
  }

  peek(): Item | undefined {
    return this.#items[0];
  }

  /** All current items, lowest first. Taking only the first few does not sort all of them. */
  *inOrder(): Generator<Item, void> {
    const items = [...this.#items];
    const frontier = new IndexedHeap<{ readonly at: number; readonly item: Item; heapIndex: number }>((a, b) =>
      this.#before(a.item, b.item),
    );
    const reach = (at: number): void => {
      const item = items[at];
      if (item !== undefined) frontier.update({ at, item, heapIndex: -1 });
    };
    reach(0);
    for (let least = frontier.peek(); least !== undefined; least = frontier.peek()) {
      frontier.remove(least);
      reach(2 * least.at + 1);
      reach(2 * least.at + 2);
      yield least.item;
    }
  }

  /** Adds the item, or restores its position if it is already here. */
  update(item: Item): void {
    if (this.#placeOf(item) < 0) this.#put(item, this.#items.length);
    if (!this.#rise(item)) this.#sink(item);
  }

  /** Does nothing for an item that is not here. */
  remove(item: Item): void {
    const index = this.#placeOf(item);
    if (index < 0) return;
    const last = this.#items.pop();
    if (last !== undefined && last !== item) {
      this.#put(last, index);
      if (!this.#rise(last)) this.#sink(last);
    }
    this.#place(item, -1);
  }

  #placeOf(item: Placed<Key>): number {
    return item[this.#key];
  }

  #place(item: Placed<Key>, index: number): void {
    item[this.#key] = index;
  }

  #put(item: Item, index: number): void {
    this.#items[index] = item;
    this.#place(item, index);
  }

  #rise(item: Item): boolean {
    let index = this.#placeOf(item);
    const from = index;
    while (index > 0) {
      const above = (index - 1) >> 1;
      const parent = this.#items[above];
      if (parent === undefined || !this.#before(item, parent)) break;
      this.#put(parent, index);
      index = above;
    }
    if (index === from) return false;
    this.#put(item, index);
    return true;
  }

  #sink(item: Item): void {
    let index = this.#placeOf(item);
    for (;;) {
      let below = 2 * index + 1;
      let child = this.#items[below];
      if (child === undefined) break;
      const right = this.#items[below + 1];
      if (right !== undefined && this.#before(right, child)) {
        child = right;
        below += 1;
      }
      if (!this.#before(child, item)) break;
      this.#put(child, index);
      index = below;
    }
    this.#put(item, index);
  }
}
