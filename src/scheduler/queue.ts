/** A link of a `RequestQueue`. The queue owns all fields but `priority`. */
export interface Queued<Item> {
  readonly priority: number;
  previous: Item | null;
  next: Item | null;
  queued: boolean;
}

interface Lane<Item> {
  readonly priority: number;
  first: Item | null;
  last: Item | null;
  size: number;
}

/**
 * The waiting requests of one model: higher priority first, then first come, first served. Adding, taking and removing
 * from the middle are O(number of distinct priorities), never O(number of requests).
 *
 * Everything outside sees only `peek`, `push`, `remove`, `place` and iteration in serving order: fairness between
 * tenants changes what `peek` returns and nothing else.
 */
export class RequestQueue<Item extends Queued<Item>> {
  /** Highest priority first. Empty lanes are removed, so that clients cannot make the list long for ever. */
  readonly #lanes: Lane<Item>[] = [];
  #size = 0;

  get size(): number {
    return this.#size;
  }

  /** The request to be served next. */
  peek(): Item | null {
    return this.#lanes[0]?.first ?? null;
  }

  push(item: Item): void {
    const lane = this.#laneOf(item.priority);
    item.previous = lane.last;
    item.next = null;
    item.queued = true;
    if (lane.last === null) lane.first = item;
    else lane.last.next = item;
    lane.last = item;
    lane.size += 1;
    this.#size += 1;
  }

  /** Takes the request out, wherever it stands. Returns false when it was not queued. */
  remove(item: Item): boolean {
    if (!item.queued) return false;
    const index = this.#lanes.findIndex((lane) => lane.priority === item.priority);
    const lane = this.#lanes[index];
    if (lane === undefined) return false;
    if (item.previous === null) lane.first = item.next;
    else item.previous.next = item.next;
    if (item.next === null) lane.last = item.previous;
    else item.next.previous = item.previous;
    item.previous = null;
    item.next = null;
    item.queued = false;
    lane.size -= 1;
    this.#size -= 1;
    if (lane.size === 0) this.#lanes.splice(index, 1);
    return true;
  }

  /** 1-based place that a request of this priority has when it joins, or has as the last of its priority. */
  lastPlace(priority: number): number {
    let ahead = 0;
    for (const lane of this.#lanes) if (lane.priority >= priority) ahead += lane.size;
    return Math.max(1, ahead);
  }

  /** In serving order. Removing the item that was just yielded is allowed. */
  *[Symbol.iterator](): Generator<Item, void> {
    for (const lane of [...this.#lanes]) {
      let item = lane.first;
      while (item !== null) {
        const next: Item | null = item.next;
        yield item;
        item = next;
      }
    }
  }

  #laneOf(priority: number): Lane<Item> {
    let index = 0;
    for (; index < this.#lanes.length; index++) {
      const lane = this.#lanes[index];
      if (lane === undefined || lane.priority < priority) break;
      if (lane.priority === priority) return lane;
    }
    const lane: Lane<Item> = { priority, first: null, last: null, size: 0 };
    this.#lanes.splice(index, 0, lane);
    return lane;
  }
}
