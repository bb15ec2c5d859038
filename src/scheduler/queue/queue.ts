import { IndexedHeap } from "../structures/heap.ts";
import { Accounts } from "./accounts.ts";
import type { Lane, Level, Queued, Tenant } from "./lanes.ts";
import { nextOf, order, serving } from "./queue-order.ts";

/**
 * The waiting requests of one model. Higher priority first; within a priority the tenant that got least (virtual token
 * counters); within a tenant who has to begin soon because of a deadline, then the least `turnAt`. A tenant's priority that has not been served for `maxWaitMs` although
 * it waits has the next turn, with its oldest request, whatever the others' priorities.
 *
 * Adding, taking and removing are O(log n) and O(number of distinct priorities).
 */
export class RequestQueue<Item extends Queued<Item>> {
  /** Highest priority first. Empty levels are removed, so that clients cannot make the list long for ever. */
  readonly #levels: Level<Item>[] = [];
  #accounts = new Accounts();
  readonly #hungry = new IndexedHeap<Lane<Item>["hunger"]>((a, b) => a.since < b.since);
  #size = 0;
  #serial = 0;
  maxWaitMs = 60_000;
  /** How long it takes until all who wait now have begun: who has to begin sooner cannot wait for every turn of the others. */
  drainMs = 0;

  get size(): number {
    return this.#size;
  }

  /** The request to be served next, or null: nobody waits, or all are parked. */
  peek(now: number): Item | null {
    const overdue = this.overdue(now);
    if (overdue !== null) return overdue;
    const level = this.#levels.find(({ lanes }) => lanes.size > 0);
    for (let lane = level?.lanes.peek(); lane !== undefined; lane = level?.lanes.peek()) {
      if (lane.counter >= lane.tenant.counter) return nextOf(lane, now, this);
      reorder(lane);
    }
    return null;
  }

  /** The next one of any tenant but this. */
  peekBeside(tenant: string, now: number): Item | null {
    for (const { lanes } of this.#levels) {
      let best: Lane<Item> | null = null;
      for (const lane of lanes.items) if (lane.tenant.name !== tenant && (best === null || lane.tenant.counter < best.tenant.counter)) best = lane;
      if (best !== null) return nextOf(best, now, this);
    }
    return null;
  }

  /** The oldest request of the lane that has waited longest, if that is too long. Parked or not. */
  overdue(now: number): Item | null {
    const longest = this.#hungry.peek();
    return longest !== undefined && now - longest.since >= this.maxWaitMs ? longest.lane.first : null;
  }

  /** Highest priority that waits, and the longest wait's beginning. Infinity: nobody waits. */
  get urgency(): { readonly priority: number; readonly since: number } {
    return { priority: this.#levels[0]?.priority ?? -1, since: this.#hungry.peek()?.since ?? Number.POSITIVE_INFINITY };
  }

  push(item: Item): void {
    const level = this.#levelOf(item.priority);
    const lane = this.#laneOf(level, item);
    item.lane = lane;
    this.#serial += 1;
    item.serial = this.#serial;
    item.previous = lane.last;
    item.next = null;
    if (lane.last === null) lane.first = item;
    else lane.last.next = item;
    lane.last = item;
    lane.size += 1;
    level.size += 1;
    this.#size += 1;
    this.#changed(lane, item);
  }

  /** Takes the request out, wherever it stands. Returns false when it was not queued. */
  remove(item: Item): boolean {
    const { lane } = item;
    if (lane === null) return false;
    this.#unready(lane, item);
    lane.parked.delete(item);
    if (item.previous === null) lane.first = item.next;
    else item.previous.next = item.next;
    if (item.next === null) lane.last = item.previous;
    else item.next.previous = item.previous;
    item.previous = null;
    item.next = null;
    item.lane = null;
    lane.size -= 1;
    lane.level.size -= 1;
    this.#size -= 1;
    if (lane.size === 0) this.#drop(lane);
    else this.#changed(lane, null);
    return true;
  }

  /** The request keeps its place and its age, and is not offered until `unpark`. */
  park(item: Item): void {
    const { lane } = item;
    if (lane === null) return;
    this.#unready(lane, item);
    lane.parked.add(item);
    this.#changed(lane, null);
  }

  unpark(item: Item): void {
    if (item.lane?.parked.delete(item)) this.#changed(item.lane, item);
  }

  /** Call before the request is taken out to be served. */
  served(item: Item, now: number): void {
    if (item.lane === null) return;
    item.lane.servedAt = now;
    this.#accounts.served();
  }

  /** Counts what a tenant got, work ÷ weight; negative where it was less than expected. */
  charge(name: string, work: number): void {
    this.#accounts.charge(name, work);
  }

  /** From now on the tenants' counters are these, which other queues use too. */
  share(accounts: Accounts): void {
    if (accounts === this.#accounts) return;
    for (const { all, lanes } of this.#levels) {
      for (const lane of all.values()) {
        lanes.remove(lane);
        this.#accounts.leave(lane.tenant, lane);
      }
      for (const lane of all.values()) {
        lane.tenant = accounts.enter(lane.tenant.name, lane);
        if (lane.ready.size > 0) reorder(lane);
      }
    }
    this.#accounts = accounts;
  }

  /** 1-based place of a waiting request, as far as it can be told: others' later turns and arrivals may change it. */
  placeOf(item: Item): number {
    const { lane } = item;
    if (lane === null) return 0;
    let ahead = lane.size;
    for (const level of this.#levels) {
      if (level.priority < item.priority) break;
      if (level.priority > item.priority) ahead += level.size;
      // Tenants take turns: of each other one, as many go first as of one's own.
      else if (level.size > lane.size) for (const other of level.all.values()) if (other !== lane) ahead += Math.min(other.size, lane.size);
    }
    return Math.min(ahead, this.#size);
  }

  /** In the order in which they would be served now. Removing the item that was just yielded is allowed. */
  [Symbol.iterator](): Generator<Item, void> {
    return serving(this.#levels);
  }

  #unready(lane: Lane<Item>, item: Item): void {
    lane.ready.remove(item);
    if (item.pressing !== null) lane.pressed.remove(item.pressing);
  }

  #changed(lane: Lane<Item>, ready: Item | null): void {
    if (ready !== null) {
      lane.ready.update(ready);
      if (ready.startBy < Number.POSITIVE_INFINITY) {
        ready.pressing ??= { heapIndex: -1, item: ready };
        lane.pressed.update(ready.pressing);
      }
    }
    if (lane.ready.size > 0) reorder(lane);
    else lane.level.lanes.remove(lane);
    lane.hunger.since = Math.max(lane.servedAt, lane.first?.arrivedAt ?? 0);
    this.#hungry.update(lane.hunger);
  }

  #drop(lane: Lane<Item>): void {
    const { level, tenant } = lane;
    level.lanes.remove(lane);
    this.#hungry.remove(lane.hunger);
    level.all.delete(tenant.name);
    this.#accounts.leave(tenant, lane);
    if (level.all.size === 0) this.#levels.splice(this.#levels.indexOf(level), 1);
  }

  #laneOf(level: Level<Item>, { tenant: name }: Item): Lane<Item> {
    const known = level.all.get(name);
    if (known !== undefined) return known;
    const lane: Lane<Item> = {
      tenant: nobody,
      counter: 0,
      level,
      ready: new IndexedHeap((a, b) => order(a, b) < 0),
      parked: new Set(),
      pressed: new IndexedHeap((a, b) => a.item.startBy < b.item.startBy || (a.item.startBy === b.item.startBy && a.item.serial < b.item.serial)),
      first: null,
      last: null,
      size: 0,
      hunger: {
        heapIndex: -1,
        since: 0,
        get lane() {
          return lane;
        },
      },
      servedAt: 0,
      heapIndex: -1,
      moved: () => {
        if (lane.heapIndex >= 0) reorder(lane);
      },
    };
    lane.tenant = this.#accounts.enter(name, lane);
    level.all.set(name, lane);
    return lane;
  }

  #levelOf(priority: number): Level<Item> {
    let index = 0;
    for (; index < this.#levels.length; index++) {
      const level = this.#levels[index];
      if (level === undefined || level.priority < priority) break;
      if (level.priority === priority) return level;
    }
    const level: Level<Item> = { priority, lanes: new IndexedHeap(isNext), all: new Map(), size: 0 };
    this.#levels.splice(index, 0, level);
    return level;
  }
}

/** Whose a lane is until it has entered the accounts. */
const nobody: Tenant = { name: "", counter: 0, lanes: new Set(), credit: 0, heapIndex: -1 };

/** Least served tenant first; of equals, as after a lift, the one that was served longest ago. */
const isNext = <Item>(a: Lane<Item>, b: Lane<Item>): boolean => (a.counter === b.counter ? a.servedAt < b.servedAt : a.counter < b.counter);

/** Gives the lane its place among those of its level, or restores it. */
function reorder<Item>(lane: Lane<Item>): void {
  lane.counter = lane.tenant.counter;
  lane.level.lanes.update(lane);
}
