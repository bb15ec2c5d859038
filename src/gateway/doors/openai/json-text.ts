import { isUtf8 } from "node:buffer";

/** Objects and arrays within each other. Far beyond any API's, and far below what overflows the stack of an engine. */
export const MAX_DEPTH = 64;

/**
 * Values of a body, of which a list or an object counts for 16, and so does each of its names: that is how much more of them
 * costs. It keeps parsing within half a second and 300 MiB. A text counts for one however long, as do images.
 */
const MAX_VALUES = 4_000_000;
const WEIGHT = 16;

/** Below it nothing that a parser makes of a body is large. */
const SMALL_BYTES = 256 * 1024;

const QUOTE = 34;
const COLON = 58;
const BACKSLASH = 92;
/** What each byte counts for outside of texts; those that count for nothing are passed over at once. */
const WEIGHTS = new Uint8Array(256);
const CLOSES = 255;
const OPENS_TEXT = 254;
for (const char of "[{:") WEIGHTS[char.charCodeAt(0)] = WEIGHT;
for (const char of "]}") WEIGHTS[char.charCodeAt(0)] = CLOSES;
WEIGHTS[44] = 1;
WEIGHTS[34] = OPENS_TEXT;

/** `depth` or `values`: of which there is too much. */
export type Excess = "depth" | "values";

/**
 * Looks, before a parser is trusted with it, whether text may be nested too deeply or has too many values: 60 MiB of `[` take
 * `JSON.parse` 1.5 GiB, and a million names 2.5 s. One pass without memory. Text that is not JSON may pass, and so does all
 * that is small.
 */
export function findExcess(bytes: Uint8Array): Excess | null {
  const { length } = bytes;
  if (length < SMALL_BYTES) return null;
  let depth = 0;
  let values = 0;
  for (let at = 0; at < length; at++) {
    const byte = bytes[at] as number;
    const weight = WEIGHTS[byte] as number;
    if (weight === 0) continue;
    if (weight === OPENS_TEXT) {
      for (at++; at < length && bytes[at] !== QUOTE; at++) if (bytes[at] === BACKSLASH) at++;
      continue;
    }
    if (weight === CLOSES) {
      depth--;
      continue;
    }
    values += weight;
    if (values > MAX_VALUES) return "values";
    if (weight === WEIGHT && byte !== COLON && ++depth > MAX_DEPTH) return "depth";
  }
  return null;
}

/** The path of a value that is nested more than `MAX_DEPTH` deep, such as `messages[0].content`, cut off after 5 steps; null: there is none. */
export function tooDeep(value: unknown, left = MAX_DEPTH): string | null {
  if (typeof value !== "object" || value === null) return null;
  if (left === 0) return "";
  if (Array.isArray(value)) {
    for (let index = 0; index < value.length; index++) {
      const found = tooDeep(value[index], left - 1);
      if (found !== null) return left > MAX_DEPTH - 5 ? `[${index}]${found}` : "";
    }
    return null;
  }
  for (const name in value) {
    const found = tooDeep((value as Record<string, unknown>)[name], left - 1);
    if (found !== null) return left > MAX_DEPTH - 5 ? `.${name.slice(0, 40)}${found}` : "";
  }
  return null;
}

/** A body as text. Bytes that are not UTF-8 are replaced by U+FFFD, and `exact` is then false. */
export const textOf = (bytes: Buffer): { readonly text: string; readonly exact: boolean } => ({
  text: bytes.toString("utf8"),
  exact: isUtf8(bytes),
});

/** Whether text may hold an escaped half of a surrogate pair. */
export const mayHoldHalves = (text: string): boolean => /\\u[dD]/.test(text);

/** The value with U+FFFD for each half of a surrogate pair that is alone, which engines refuse; itself where there is none. */
export function wellFormed(value: unknown): unknown {
  if (typeof value === "string") return value.isWellFormed() ? value : value.toWellFormed();
  if (typeof value !== "object" || value === null) return value;
  if (Array.isArray(value)) {
    const items = value.map(wellFormed);
    return items.some((item, index) => item !== value[index]) ? items : value;
  }
  const entries = Object.entries(value).map(([name, item]) => [name.toWellFormed(), wellFormed(item)] as const);
  const isSame = Object.entries(value).every(
    ([name, item], index) => entries[index]?.[0] === name && entries[index]?.[1] === item,
  );
  return isSame ? value : Object.fromEntries(entries);
}
