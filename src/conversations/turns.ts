import { beginsTurn, type Item, isCall, isCallOutput, isInstruction } from "./item.ts";

/** The instructions at the beginning, and the rest in turns: each begins with a user message. */
export interface Turns<T> {
  readonly instructions: readonly T[];
  readonly turns: readonly (readonly T[])[];
}

/** `itemOf`: the item of an element. */
export function turnsOf<T>(elements: readonly T[], itemOf: (element: T) => Item): Turns<T> {
  const first = elements.findIndex((element) => !isInstruction(itemOf(element)));
  const begin = first < 0 ? elements.length : first;
  const turns: T[][] = [];
  for (const element of elements.slice(begin)) {
    const turn = turns.at(-1);
    if (turn === undefined || beginsTurn(itemOf(element))) turns.push([element]);
    else turn.push(element);
  }
  return { instructions: elements.slice(0, begin), turns };
}

export interface Limits {
  readonly maxItems: number;
  /** Of their JSON. */
  readonly maxBytes: number;
  /** The same of the last turn. */
  readonly maxTurnBytes: number;
}

/**
 * The newest elements within the limits. Instructions at the beginning are kept, and complete turns are removed. Of
 * instructions or a last turn beyond the limits, the newest are kept, without outputs whose call is removed.
 */
export function newest<T>(elements: readonly T[], itemOf: (element: T) => Item, limits: Limits): readonly T[] {
  const { maxItems, maxBytes, maxTurnBytes } = limits;
  const { instructions: all, turns } = turnsOf(elements, itemOf);
  const instructions = lastOf(all, maxItems - 1, maxBytes);
  const room = Math.max(1, maxItems - instructions.length);
  const last = withoutOrphans(lastOf(turns.at(-1) ?? [], room, maxTurnBytes), itemOf);
  const kept: (readonly T[])[] = [last];
  let items = instructions.length + last.length;
  let bytes = bytesOf(instructions) + bytesOf(last);
  for (const turn of turns.slice(0, -1).reverse()) {
    items += turn.length;
    bytes += bytesOf(turn);
    if (items > maxItems || bytes > maxBytes) break;
    kept.unshift(turn);
  }
  return [...instructions, ...kept.flat()];
}

/** The newest elements within the limits, and at least one. */
function lastOf<T>(elements: readonly T[], maxItems: number, maxBytes: number): readonly T[] {
  let from = elements.length;
  for (let bytes = 0; from > 0 && elements.length - from < Math.max(1, maxItems); from--) {
    bytes += bytesOf(elements.slice(from - 1, from));
    if (bytes > maxBytes && from < elements.length) break;
  }
  return elements.slice(from);
}

function withoutOrphans<T>(elements: readonly T[], itemOf: (element: T) => Item): readonly T[] {
  const called = new Set<unknown>();
  return elements.filter((element) => {
    const item = itemOf(element);
    if (isCall(item)) called.add(item["call_id"]);
    return !isCallOutput(item) || called.has(item["call_id"]);
  });
}

const bytesOf = (elements: readonly unknown[]): number =>
  elements.reduce<number>((sum, element) => sum + Buffer.byteLength(JSON.stringify(element)), 0);
