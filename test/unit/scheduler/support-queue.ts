import type { Queued } from "../../../src/scheduler/queue/lane.ts";
import type { RequestQueue } from "../../../src/scheduler/queue/queue.ts";

/** A request of the imagination: what a queue looks at, and nothing else. */
export interface Item extends Queued<Item> {
  readonly number: number;
}

let numbers = 0;
export function item(
  facts: Partial<Pick<Item, "priority" | "tenant" | "arrivedAt" | "turnAt" | "startBy">> = {},
): Item {
  numbers += 1;
  const arrivedAt = facts.arrivedAt ?? 0;
  return {
    number: numbers,
    priority: 50,
    tenant: "t",
    arrivedAt,
    turnAt: arrivedAt,
    startBy: Number.POSITIVE_INFINITY,
    lane: null,
    serial: 0,
    ageIndex: -1,
    heapIndex: -1,
    pressIndex: -1,
    ...facts,
  };
}

/** The next one, taken out as the scheduler does. */
export function take(queue: RequestQueue<Item>, now: number, tokens = 0): Item | null {
  const head = queue.peek(now);
  if (head === null) return null;
  queue.served(head, now);
  queue.remove(head);
  queue.charge(head.tenant, tokens);
  return head;
}
