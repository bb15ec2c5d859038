import type { Capabilities } from "./model.ts";

/** Capabilities that a request asks for, by name; values as text: `2`, `true`, `chat`. */
export type CapabilityQuery = Readonly<Record<string, string>>;

/** Whether everything requested is offered, with values compared as text. */
export function matches(query: CapabilityQuery, offered: Capabilities): boolean {
  for (const key in query) if (!Object.hasOwn(offered, key) || String(offered[key]) !== query[key]) return false;
  return true;
}

/** How much of it is offered: the number of keys that match. */
export const matchedKeys = (query: CapabilityQuery, offered: Capabilities): number =>
  Object.keys(query).filter((key) => Object.hasOwn(offered, key) && String(offered[key]) === query[key]).length;

/** For messages: `gpus=2, type=chat`. */
export const queryText = (query: CapabilityQuery | Capabilities): string =>
  Object.entries(query)
    .map(([key, value]) => `${key}=${value}`)
    .join(", ")
    .slice(0, MAX_SHOWN);

const MAX_SHOWN = 300;
