import type { FieldValue } from "../../core/store.ts";

/*
 * Redis orders the members of a sorted set by their bytes where their scores are equal. A member of an index is the values
 * of its fields, the record's position and its id, each written so that the bytes have the order of the values: numbers
 * before texts, as SQLite has them, and a text before those that it begins.
 */

const END = "\u0000\u0001";
const ESCAPED_NUL = "\u0000\u0002";
const POSITION_DIGITS = 14;
const SIGN = 1n << 63n;
const ALL_BITS = (1n << 64n) - 1n;
/** Follows the first character of every value and every digit of a position. */
const AFTER_VALUES = "t";
/** Between position and id, and what follows it. */
const BEFORE_ID = ":";
const AFTER_IDS = ";";

const bits = new DataView(new ArrayBuffer(8));

const valueText = (value: FieldValue): string => {
  if (typeof value === "string") return `s${value.replaceAll("\u0000", ESCAPED_NUL)}${END}`;
  // -0 is 0.
  bits.setFloat64(0, value + 0);
  const raw = bits.getBigUint64(0);
  const ordered = raw & SIGN ? raw ^ ALL_BITS : raw | SIGN;
  return `n${ordered.toString(16).padStart(16, "0")}`;
};

/** The values of an index's fields as its members begin. */
export const valuesText = (values: readonly FieldValue[]): string => values.map(valueText).join("");

/** Position in the order of making; the scripts write it in the same way. */
const positionText = (position: number): string => position.toString(16).padStart(POSITION_DIGITS, "0");

export interface LexRange {
  readonly min: string;
  readonly max: string;
}

/** What a query asks of an index's members, for ZRANGEBYLEX. */
export function lexRange(query: {
  readonly equals: readonly FieldValue[];
  readonly from: FieldValue | null;
  readonly below: FieldValue | null;
  readonly after?: readonly FieldValue[] | null;
  readonly descending?: boolean;
}): LexRange {
  const { equals, from, below, after = null, descending = false } = query;
  const start = valuesText(equals);
  const min = `[${start}${from === null ? "" : valuesText([from])}`;
  const max = `(${start}${below === null ? AFTER_VALUES : valuesText([below])}`;
  if (after === null) return { min, max };
  const place = `${start}${valuesText(after.slice(0, -1))}${positionText(Number(after.at(-1)))}`;
  return descending
    ? { min, max: least(max, `(${place}${BEFORE_ID}`) }
    : { min: greatest(min, `[${place}${AFTER_IDS}`), max };
}

/** A cursor may be outside of the range that it is used with. Compared as Redis does. */
const compared = (a: string, b: string): number => Buffer.compare(Buffer.from(a.slice(1)), Buffer.from(b.slice(1)));
const least = (a: string, b: string): string => (compared(a, b) < 0 ? a : b);
const greatest = (a: string, b: string): string => (compared(a, b) > 0 ? a : b);
