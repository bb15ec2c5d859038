/** What an `IndexedHeap` holds. The heap owns `heapIndex`; -1 means that the item is in no heap. */
export interface HeapItem {
  heapIndex: number;
}

/**
 * A binary heap whose items know their place in it, so that any item can be moved or removed in O(log n). An item is
 * in at most one heap at a time. Call `update` after a change of what `before` compares.
 */
export class IndexedHeap<Item extends HeapItem> {
  readonly #items: Item[] = [];
  readonly #before: (a: Item, b: Item) => boolean;

  constructor(before: (a: Item, b: Item) => boolean) {
    this.#before = before;
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

  /** Adds the item, or restores its place if it is here already. */
  update(item: Item): void {
    if (item.heapIndex < 0) {
      item.heapIndex = this.#items.length;
      this.#items.push(item);
    }
    if (!this.#rise(item)) this.#sink(item);
  }

  /** Does nothing for an item that is not here. */
  remove(item: Item): void {
    const index = item.heapIndex;
    if (index < 0) return;
    item.heapIndex = -1;
    const last = this.#items.pop();
    if (last === undefined || last === item) return;
    this.#put(last, index);
    if (!this.#rise(last)) this.#sink(last);
  }

  #put(item: Item, index: number): void {
    this.#items[index] = item;
    item.heapIndex = index;
  }

  #rise(item: Item): boolean {
    let index = item.heapIndex;
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
    let index = item.heapIndex;
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
