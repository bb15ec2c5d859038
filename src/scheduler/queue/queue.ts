import { IndexedHeap } from "../structures/heap.ts";
import { Accounts } from "./accounts.ts";
import { Lane, type Level, type Queued } from "./lane.ts";

/** Cost of a turn when future turns are predicted: the same for all, because the real costs are unknown. */
const TURN_WORK = 1000;

/** The turns that a lane is predicted to have, and those of them whose requests were not listed. */
interface Turns<Item> {
  counter: number;
  left: number;
  skipped: number;
  readonly items: Iterator<Item>;
  heapIndex: number;
}

/**
 * The waiting requests of one model. Higher priority first; within a priority, the tenant that received least (virtual
 * token counters); within a tenant, requests that must start soon because of a deadline, then the lowest `turnAt`. A
 * tenant's priority that has waited for `maxWaitMs` without being served has the next turn, with its oldest request,
 * regardless of the others' priorities.
 *
 * Adding, taking and removing are O(log n).
 */
export class RequestQueue<Item extends Queued<Item>> {
  /** By priority. Empty ones are removed, so that clients cannot make the list grow forever. */
  readonly #levels = new Map<number, Level<Item>>();
  /** Lanes with a request that may be served, in the order of their turns. */
  readonly #turns = new IndexedHeap<Lane<Item>>(isNext);
  readonly #hungry = new IndexedHeap<Lane<Item>, "hungerIndex">((a, b) => a.since < b.since, "hungerIndex");
  #accounts = new Accounts();
  #size = 0;
  #serial = 0;
  maxWaitMs = 60_000;
  /**
   * How long it takes until all waiting requests have started: a request that must start sooner cannot wait for all
   * others.
   */
  drainMs = 0;

  get size(): number {
    return this.#size;
  }

  /** The request to serve next, or null: the queue is empty, or all requests are parked. */
  peek(now: number): Item | null {
    const overdue = this.overdue(now);
    if (overdue !== null) return overdue;
    for (let lane = this.#turns.peek(); lane !== undefined; lane = this.#turns.peek()) {
      if (lane.counter >= lane.tenant.counter) return lane.next(now, this.drainMs, this.maxWaitMs);
      this.#reorder(lane);
    }
    return null;
  }

  /** The next request of any other tenant. */
  peekBeside(tenant: string, now: number): Item | null {
    let best: Lane<Item> | null = null;
    for (const lane of this.#turns.items) {
      if (lane.tenant.name === tenant) continue;
      if (
        best === null ||
        lane.level.priority > best.level.priority ||
        (lane.level === best.level && lane.tenant.counter < best.tenant.counter)
      )
        best = lane;
    }
    return best?.next(now, this.drainMs, this.maxWaitMs) ?? null;
  }

  /** The oldest request of the lane that has waited longest, if that is too long; parked or not. */
  overdue(now: number): Item | null {
    const longest = this.#hungry.peek();
    return longest !== undefined && now - longest.since >= this.maxWaitMs ? (longest.all.peek() ?? null) : null;
  }

  /** Highest waiting priority; -1: the queue is empty. */
  get priority(): number {
    return Math.max(-1, ...this.#levels.keys());
  }

  /** When the longest wait began. Infinity: the queue is empty. */
  get waitingSince(): number {
    return this.#hungry.peek()?.since ?? Number.POSITIVE_INFINITY;
  }

  push(item: Item): void {
    const { priority, tenant } = item;
    const level = this.#levels.get(priority) ?? { priority, lanes: new Map(), size: 0 };
    const lane = level.lanes.get(tenant) ?? new Lane<Item>(level, this.#accounts.enter(tenant));
    this.#levels.set(priority, level);
    level.lanes.set(tenant, lane);
    level.size += 1;
    item.lane = lane;
    this.#serial += 1;
    item.serial = this.#serial;
    this.#size += 1;
    lane.all.update(item);
    lane.offer(item);
    this.#changed(lane);
  }

  /** Removes the request, wherever it is. Returns false if it was not queued. */
  remove(item: Item): boolean {
    const { lane } = item;
    if (lane === null) return false;
    item.lane = null;
    this.#size -= 1;
    lane.all.remove(item);
    lane.withdraw(item);
    this.#changed(lane);
    lane.level.size -= 1;
    if (lane.all.size === 0) this.#drop(lane);
    return true;
  }

  /** The request keeps its place and its age, and is not offered until `unpark`. */
  park(item: Item): void {
    if (item.lane === null) return;
    item.lane.withdraw(item);
    this.#changed(item.lane);
  }

  unpark(item: Item): void {
    if (item.lane === null) return;
    item.lane.offer(item);
    this.#changed(item.lane);
  }

  /** Call before the request is removed to be served. */
  served(item: Item, now: number): void {
    if (item.lane === null) return;
    item.lane.servedAt = now;
    this.#accounts.served();
  }

  /** Charges a tenant with work ÷ weight; negative if it was less than expected. */
  charge(name: string, work: number): void {
    this.#accounts.charge(name, work);
  }

  /** Uses these accounts, which other queues share, from now on. */
  share(accounts: Accounts): void {
    if (accounts === this.#accounts) return;
    for (const { lanes } of this.#levels.values()) {
      for (const lane of lanes.values()) {
        this.#accounts.leave(lane.tenant);
        lane.tenant = accounts.enter(lane.tenant.name);
        this.#changed(lane);
      }
    }
    this.#accounts = accounts;
  }

  /** 1-based place of a waiting request, as an estimate: others' later turns and arrivals may change it. */
  placeOf(item: Item): number {
    const own = item.lane;
    if (own === null) return 0;
    let ahead = 0;
    for (const { priority, lanes, size } of this.#levels.values()) {
      if (priority > item.priority) ahead += size;
      // Tenants take turns: as many of each other tenant's requests go first as of one's own.
      else if (priority === item.priority)
        for (const { all } of lanes.values()) ahead += Math.min(all.size, own.all.size);
    }
    return ahead;
  }

  [Symbol.iterator](): Generator<Item, void> {
    return this.inOrder(() => 0);
  }

  /**
   * In the order in which they would be served now, without those before the place (1-based) that `from` returns:
   * counting them is faster than listing them. Removing the item just yielded is allowed.
   */
  *inOrder(from: () => number): Generator<Item, void> {
    let place = 0;
    for (const { lanes } of [...this.#levels.values()].sort((a, b) => b.priority - a.priority)) {
      const turns = new IndexedHeap<Turns<Item>>((a, b) => a.counter < b.counter);
      for (const lane of lanes.values()) {
        const [counter, left] = [lane.tenant.counter, lane.all.size];
        turns.update({ counter, left, skipped: 0, items: lane[Symbol.iterator](), heapIndex: -1 });
      }
      for (let lane = turns.peek(); lane !== undefined; lane = turns.peek()) {
        if (lane.left === 0) {
          turns.remove(lane);
          continue;
        }
        lane.left -= 1;
        lane.counter += TURN_WORK;
        turns.update(lane);
        place += 1;
        if (place < from()) lane.skipped += 1;
        else {
          for (; lane.skipped > 0; lane.skipped--) lane.items.next();
          yield lane.items.next().value as Item;
        }
      }
    }
  }

  /** A lane has gained or lost a request, or its tenant's counter has been replaced. */
  #changed(lane: Lane<Item>): void {
    if (lane.ready.size > 0) this.#reorder(lane);
    else this.#turns.remove(lane);
    lane.since = Math.max(lane.servedAt, lane.all.peek()?.arrivedAt ?? 0);
    this.#hungry.update(lane);
  }

  #drop(lane: Lane<Item>): void {
    const { level, tenant } = lane;
    this.#hungry.remove(lane);
    this.#accounts.leave(tenant);
    level.lanes.delete(tenant.name);
    if (level.size === 0) this.#levels.delete(level.priority);
  }

  #reorder(lane: Lane<Item>): void {
    lane.counter = lane.tenant.counter;
    this.#turns.update(lane);
  }
}

/**
 * Highest priority first, then the least served tenant; of equals, as after a lift, the one that was served longest
 * ago.
 */
function isNext<Item extends Queued<Item>>(a: Lane<Item>, b: Lane<Item>): boolean {
  if (a.level !== b.level) return a.level.priority > b.level.priority;
  return a.counter === b.counter ? a.servedAt < b.servedAt : a.counter < b.counter;
}
