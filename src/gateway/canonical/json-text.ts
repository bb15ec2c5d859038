import { isUtf8 } from "node:buffer";

/** Maximum nesting of objects and arrays. Far above any API's, and far below what overflows an engine's stack. */
export const MAX_DEPTH = 64;

/**
 * Maximum cost for a parser and a writer: a character of white space costs one, a number in a list 4; a list, an object
 * or a name 16, with its comma. This keeps each pass over the values, of which some requests need several, within a
 * tenth of a second. Strings cost nothing, however long, as images may be.
 */
const MAX_COST = 4_000_000;
const COST_OF_SPACE = 1;
const COST_OF_COMMA = 4;
const COST_OF_NAME = 12;

/** Below this size, nothing that a parser creates from a body is large. */
export const SMALL_BYTES = 256 * 1024;
/** Of a member's name in an error. */
const MAX_NAME_BYTES = 100;
/** Bytes of a string that are checked one by one, before a search that is faster for long ones. */
const SHORT_TEXT_BYTES = 32;

const QUOTE = 34;
const COLON = 58;
const BACKSLASH = 92;
/** The cost of each byte outside of strings; free ones are skipped at once. */
const COSTS = new Uint8Array(256);
const CLOSES = 255;
const OPENS_TEXT = 254;
for (const char of " \t\r\n") COSTS[char.charCodeAt(0)] = COST_OF_SPACE;
for (const char of "[{:") COSTS[char.charCodeAt(0)] = COST_OF_NAME;
for (const char of "]}") COSTS[char.charCodeAt(0)] = CLOSES;
COSTS[",".charCodeAt(0)] = COST_OF_COMMA;
COSTS[QUOTE] = OPENS_TEXT;

/** Which limit is exceeded, and within which member of the outermost object; null: in none. */
export interface Excess {
  readonly limit: "depth" | "cost";
  readonly field: string | null;
}

/**
 * Checks text before parsing for excessive nesting or cost: 60 MiB of `[` take `JSON.parse` 1.5 GiB, and a million
 * names 2.5 s. One pass without allocation. Invalid JSON may pass, and so does anything small.
 */
export function findExcess(bytes: Buffer): Excess | null {
  const { length } = bytes;
  if (length < SMALL_BYTES) return null;
  let depth = 0;
  let total = 0;
  /** The last text, and where it ended. */
  let textAt = 0;
  let textEnd = 0;
  let fieldAt = 0;
  let fieldEnd = 0;
  const excess = (limit: Excess["limit"]): Excess => ({
    limit,
    field: fieldEnd === 0 ? null : bytes.toString("utf8", fieldAt + 1, Math.min(fieldEnd, fieldAt + MAX_NAME_BYTES)),
  });
  for (let at = 0; at < length; at++) {
    const byte = bytes[at] as number;
    const cost = COSTS[byte] as number;
    if (cost === 0) continue;
    if (cost === OPENS_TEXT) {
      textAt = at;
      at = endOfText(bytes, at + 1);
      textEnd = at;
      continue;
    }
    if (cost === CLOSES) {
      depth--;
      continue;
    }
    if (byte === COLON && depth === 1) {
      fieldAt = textAt;
      fieldEnd = textEnd;
    }
    total += cost;
    if (total > MAX_COST) return excess("cost");
    if (cost === COST_OF_NAME && byte !== COLON && ++depth > MAX_DEPTH) return excess("depth");
  }
  return null;
}

/** The position of the closing quote, or the length of all bytes. */
function endOfText(bytes: Buffer, from: number): number {
  let at = from;
  for (const short = from + SHORT_TEXT_BYTES; at < short && at < bytes.length; at++) {
    if (bytes[at] === QUOTE) return at;
    if (bytes[at] === BACKSLASH) at++;
  }
  const start = at;
  for (at = bytes.indexOf(QUOTE, at); at !== -1; at = bytes.indexOf(QUOTE, at + 1)) {
    let slashes = 0;
    while (at - slashes > start && bytes[at - slashes - 1] === BACKSLASH) slashes++;
    if (slashes % 2 === 0) return at;
  }
  return bytes.length;
}

/**
 * The path of a value nested more than `MAX_DEPTH` deep, such as `messages[0].content`, cut off after 5 steps; null:
 * there is none.
 */
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

/** A byte order mark, which Windows programs write at the beginning of files, and not all engines accept. */
const BYTE_ORDER_MARK = "\ufeff";

/**
 * A body as text, without a byte order mark. Bytes that are not UTF-8 are replaced by U+FFFD. `exact`: nothing was
 * changed.
 */
export function textOf(bytes: Buffer): { readonly text: string; readonly exact: boolean } {
  const text = bytes.toString("utf8");
  return text.startsWith(BYTE_ORDER_MARK) ? { text: text.slice(1), exact: false } : { text, exact: isUtf8(bytes) };
}

/** Whether text may contain an escaped unpaired surrogate. */
export const mayHoldHalves = (text: string): boolean => /\\u[dD]/.test(text);

/** The value with U+FFFD for each unpaired surrogate, which engines refuse; itself if there is none. */
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
