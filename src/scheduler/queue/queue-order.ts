import type { Lane, Level, Queued } from "./lanes.ts";

/** What one more turn counts for when the turns to come are told in advance: all alike, because nobody knows their cost. */
const TURN_WORK = 1000;
const FEW = 64;

/**
 * The lane's next request: the one that has to begin first to be in time, if waiting for all others could make it late,
 * else the least `turnAt`. It goes before nobody who came `maxWaitMs` before it: deadlines don't touch the bound on
 * the others' wait. One that is too late already has lost its claim and keeps its place.
 */
export function nextOf<Item extends Queued<Item>>(
  lane: Lane<Item>,
  now: number,
  { drainMs, maxWaitMs }: { readonly drainMs: number; readonly maxWaitMs: number },
): Item | null {
  let first = lane.pressed.peek();
  for (; first !== undefined && first.item.startBy < now; first = lane.pressed.peek()) lane.pressed.remove(first);
  const oldest = lane.first?.arrivedAt ?? now;
  if (first !== undefined && first.item.startBy <= now + drainMs && first.item.arrivedAt - oldest <= maxWaitMs) return first.item;
  return lane.ready.peek() ?? null;
}

/** The waiting requests in the order in which they would be served if nothing else happened; the parked of a lane come first. */
export function* serving<Item extends Queued<Item>>(levels: readonly Level<Item>[]): Generator<Item, void> {
  for (const { all } of [...levels]) {
    const lanes = [...all.values()].map((lane) => ({ counter: lane.tenant.counter, items: inLane(lane) }));
    while (lanes.length > 0) {
      let least = 0;
      for (let index = 1; index < lanes.length; index++) if ((lanes[index]?.counter ?? 0) < (lanes[least]?.counter ?? 0)) least = index;
      const lane = lanes[least];
      const next = lane?.items.next();
      if (lane === undefined || next === undefined || next.done) lanes.splice(least, 1);
      else {
        lane.counter += TURN_WORK;
        yield next.value;
      }
    }
  }
}

/** Who asks for the first few must not pay for ten thousand: those come from the heap one by one, the rest is sorted. */
function* inLane<Item extends Queued<Item>>(lane: Lane<Item>): Generator<Item, void> {
  yield* [...lane.parked];
  const ready = [...lane.ready.items];
  const before = (a: number, b: number): number => order(ready[a], ready[b]);
  // The array is a heap: its smallest come from a frontier that each one taken replaces by the two below it.
  const frontier = ready.length > 0 ? [0] : [];
  for (let taken = 0; taken < FEW && frontier.length > 0; taken++) {
    let least = 0;
    for (let index = 1; index < frontier.length; index++) if (before(frontier[index] ?? 0, frontier[least] ?? 0) < 0) least = index;
    const [at = 0] = frontier.splice(least, 1);
    const item = ready[at];
    for (const below of [2 * at + 1, 2 * at + 2]) if (below < ready.length) frontier.push(below);
    if (item !== undefined) yield item;
  }
  for (let index = 0; index < frontier.length; index++) {
    const at = frontier[index] ?? 0;
    for (const below of [2 * at + 1, 2 * at + 2]) if (below < ready.length) frontier.push(below);
  }
  for (const index of frontier.sort(before)) {
    const item = ready[index];
    if (item !== undefined) yield item;
  }
}

/** Within a lane: the least `turnAt`, then the oldest. */
export const order = <Item>(a: Queued<Item> | undefined, b: Queued<Item> | undefined): number =>
  a === undefined || b === undefined ? 0 : a.turnAt - b.turnAt || a.serial - b.serial;
