import type { HeapItem, IndexedHeap } from "../structures/heap.ts";

/** What a `RequestQueue` holds. It owns `lane`, `serial`, `previous`, `next` and `heapIndex`. */
export interface Queued<Item> extends HeapItem {
  readonly priority: number;
  readonly tenant: string;
  readonly arrivedAt: number;
  /** Order within a tenant and a priority, least first: the arrival plus what a long prompt is set back by. */
  readonly turnAt: number;
  /** When it has to begin at the latest so that its answer is in time (epoch ms); Infinity where that is far away or not said. */
  readonly startBy: number;
  /** Its place among those of its lane that have to begin soon; null without `startBy`. */
  pressing: Pressing<Item> | null;
  lane: Lane<Item> | null;
  /** Order of arrival; equal times are told apart by it. */
  serial: number;
  previous: Item | null;
  next: Item | null;
}

export interface Pressing<Item> extends HeapItem {
  readonly item: Item & Queued<Item>;
}

/** A tenant with the same accounts in all queues that share them. */
export interface Tenant extends HeapItem {
  readonly name: string;
  /** Work it got ÷ its weight; see `charge`. */
  counter: number;
  /** Where it waits, in all queues. */
  readonly lanes: Set<AnyLane>;
  /** Given back and not taken from the counter yet. */
  credit: number;
}

/** A lane of whatever queue. */
export interface AnyLane {
  /** The counter of its tenant is less than it was. That it is more is noticed when the lane's turn comes. */
  moved(): void;
}

/** The waiting requests of one tenant and one priority. */
export interface Lane<Item> extends HeapItem, AnyLane {
  tenant: Tenant;
  /** The tenant's counter as the level's order knows it: never more than it is; see `moved`. */
  counter: number;
  readonly level: Level<Item>;
  /** Those that may be served now: all but the parked. */
  readonly ready: IndexedHeap<Item & Queued<Item>>;
  readonly parked: Set<Item>;
  /** Of the ready ones, those with a time to begin by, the earliest first. */
  readonly pressed: IndexedHeap<Pressing<Item>>;
  /** All, oldest first. */
  first: Item | null;
  last: Item | null;
  size: number;
  /** When it was last served, or its oldest request came if that is later. */
  readonly hunger: HeapItem & { since: number; readonly lane: Lane<Item> };
  servedAt: number;
}

export interface Level<Item> {
  readonly priority: number;
  /** Lanes with a request that may be served, least served tenant first. */
  readonly lanes: IndexedHeap<Lane<Item>>;
  readonly all: Map<string, Lane<Item>>;
  size: number;
}
