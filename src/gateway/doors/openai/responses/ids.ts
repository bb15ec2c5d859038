import { randomBytes } from "node:crypto";

const RESPONSE = /^resp_([0-9a-f]{32})$/;
const ITEM = /^[a-z]{2,4}_([0-9a-f]{32})[0-9a-f]{4}$/;

/** `resp_` and 32 hex digits. */
export const newResponseId = (): string => `resp_${randomBytes(16).toString("hex")}`;

/** The id of one of a response's items, which contains the response's own. `kind`: `msg`, `rs`, `fc`, `fco`. */
export const itemId = (responseId: string, kind: string, index: number): string =>
  `${kind}_${responseId.slice("resp_".length)}${index.toString(16).padStart(4, "0")}`;

export const isResponseId = (id: string): boolean => RESPONSE.test(id);

/** The response that an item belongs to; null: it is not one of ours. */
export function responseOfItem(id: string): string | null {
  const hex = ITEM.exec(id)?.[1];
  return hex === undefined ? null : `resp_${hex}`;
}
