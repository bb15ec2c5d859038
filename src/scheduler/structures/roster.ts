/**
 * Values by id, for those that come and go with every request. A Map gets a new table every few dozen requests, and an
 * old table, long in the old generation of the heap, keeps alive whoever was in it until the next full collection: with
 * a Map of requests most of them are copied twice before they die. Here the Map holds numbers alone.
 */
export class Roster<Value extends object> {
  readonly #places = new Map<string, number>();
  readonly #values: (Value | null)[] = [];
  readonly #free: number[] = [];
  #freeCount = 0;

  get size(): number {
    return this.#places.size;
  }

  has(id: string): boolean {
    return this.#places.has(id);
  }

  get(id: string): Value | undefined {
    const place = this.#places.get(id);
    return place === undefined ? undefined : (this.#values[place] ?? undefined);
  }

  set(id: string, value: Value): void {
    let place = this.#places.get(id);
    if (place === undefined) {
      place = this.#freeCount > 0 ? (this.#free[--this.#freeCount] as number) : this.#values.length;
      this.#places.set(id, place);
    }
    this.#values[place] = value;
  }

  delete(id: string): boolean {
    const place = this.#places.get(id);
    if (place === undefined) return false;
    this.#places.delete(id);
    this.#values[place] = null;
    // Neither array ever shrinks: that, too, would leave old copies behind.
    this.#free[this.#freeCount++] = place;
    return true;
  }

  clear(): void {
    for (const id of [...this.#places.keys()]) this.delete(id);
  }

  /** First those that came first. */
  *[Symbol.iterator](): Generator<Value, void> {
    for (const place of this.#places.values()) yield this.#values[place] as Value;
  }
}

/** Who is in a group, and in one at a time; -1: in none. */
export interface Member {
  groupIndex: number;
}

/** A set of members that know their place in it, so that to come and to go costs no hashing. In no particular order. */
export class Group<Item extends Member> {
  readonly #items: (Item | null)[] = [];
  #size = 0;

  get size(): number {
    return this.#size;
  }

  add(item: Item): void {
    item.groupIndex = this.#size;
    this.#items[this.#size++] = item;
  }

  remove(item: Item): void {
    if (this.#items[item.groupIndex] !== item) return;
    const last = this.#items[--this.#size] as Item;
    this.#items[item.groupIndex] = last;
    last.groupIndex = item.groupIndex;
    this.#items[this.#size] = null;
    item.groupIndex = -1;
  }

  clear(): void {
    while (this.#size > 0) this.remove(this.#items[this.#size - 1] as Item);
  }

  *[Symbol.iterator](): Generator<Item, void> {
    for (let index = 0; index < this.#size; index++) yield this.#items[index] as Item;
  }
}
