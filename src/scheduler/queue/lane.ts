import { IndexedHeap } from "../structures/heap.ts";
import type { Tenant } from "./accounts.ts";

/** An item of a `RequestQueue`, which owns `lane`, `serial` and the positions in the lane's heaps. */
export interface Queued<Item extends Queued<Item>> {
  readonly priority: number;
  readonly tenant: string;
  readonly arrivedAt: number;
  /** Order within a tenant and a priority, lowest first: the arrival plus the delay of a long prompt. */
  readonly turnAt: number;
  /** The latest start for an answer in time (epoch ms); Infinity if that is far away or there is no deadline. */
  readonly startBy: number;
  lane: Lane<Item> | null;
  /** Order of arrival, for equal times. */
  serial: number;
  /** Positions in the heaps of its lane; -1: not in it. Only a parked request has no position among the ready ones. */
  ageIndex: number;
  heapIndex: number;
  pressIndex: number;
}

type Waiting = Pick<Queued<never>, "serial" | "turnAt" | "startBy">;
const isOlder = (a: Waiting, b: Waiting): boolean => a.serial < b.serial;
const hasTurnBefore = (a: Waiting, b: Waiting): boolean =>
  a.turnAt === b.turnAt ? isOlder(a, b) : a.turnAt < b.turnAt;
const isPressedMore = (a: Waiting, b: Waiting): boolean =>
  a.startBy === b.startBy ? isOlder(a, b) : a.startBy < b.startBy;

/** The waiting requests of one priority, by tenant, and how many they are. */
export interface Level<Item extends Queued<Item>> {
  readonly priority: number;
  readonly lanes: Map<string, Lane<Item>>;
  size: number;
}

/** The waiting requests of one tenant and one priority. */
export class Lane<Item extends Queued<Item>> {
  readonly level: Level<Item>;
  tenant: Tenant;
  /** The tenant's counter as the queue's order knows it: never more than the actual one. */
  counter = 0;
  readonly all = new IndexedHeap<Item, "ageIndex">(isOlder, "ageIndex");
  /** Those that may be served now: all except the parked ones. */
  readonly ready = new IndexedHeap<Item>(hasTurnBefore);
  /** The ready ones with a latest start, earliest first. */
  readonly #pressed = new IndexedHeap<Item, "pressIndex">(isPressedMore, "pressIndex");
  servedAt = 0;
  /** When it was last served, or its oldest request arrived if that is later. */
  since = 0;
  /** Positions among the queue's lanes. */
  heapIndex = -1;
  hungerIndex = -1;

  constructor(level: Level<Item>, tenant: Tenant) {
    this.level = level;
    this.tenant = tenant;
  }

  offer(item: Item): void {
    this.ready.update(item);
    if (item.startBy < Number.POSITIVE_INFINITY) this.#pressed.update(item);
  }

  withdraw(item: Item): void {
    this.ready.remove(item);
    this.#pressed.remove(item);
  }

  /**
   * The next request: the one with the earliest latest start, if waiting for all others could make it late; otherwise
   * the lowest `turnAt`. It never overtakes a request that arrived `maxWaitMs` earlier: deadlines do not affect the
   * bound on the others' wait. A request that is already too late keeps its place.
   */
  next(now: number, drainMs: number, maxWaitMs: number): Item | null {
    let first = this.#pressed.peek();
    for (; first !== undefined && first.startBy < now; first = this.#pressed.peek()) this.#pressed.remove(first);
    const oldest = this.all.peek()?.arrivedAt ?? now;
    if (first !== undefined && first.startBy <= now + drainMs && first.arrivedAt - oldest <= maxWaitMs) return first;
    return this.ready.peek() ?? null;
  }

  /** The parked requests, then the others in the order in which they would be served if nothing else happened. */
  *[Symbol.iterator](): Generator<Item, void> {
    yield* this.all.items.filter(({ heapIndex }) => heapIndex < 0);
    yield* this.ready.inOrder();
  }
}
