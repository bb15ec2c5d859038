/** Bytes of metadata values by their type; texts (8) and arrays (9) have no fixed size. */
const valueBytes: Readonly<Record<number, number>> = {
  0: 1,
  1: 1,
  2: 2,
  3: 2,
  4: 4,
  5: 4,
  6: 4,
  7: 1,
  10: 8,
  11: 8,
  12: 8,
};
const UNSIGNED = [0, 2, 4];
const SIGNED = [1, 3, 5];
const BOOLEAN = 7;
const TEXT = 8;
const ARRAY = 9;
const U64 = 10;

/**
 * Replaces an array of strings that contains a fill-in-the-middle prefix token, by which llama.cpp recognises models
 * with infill.
 */
export const INFILL = Symbol("infill");
const INFILL_TOKENS = ["<|fim_prefix|>", "<fim-prefix>", "<fim_prefix>", "<PRE>", "▁<PRE>", "<｜fim▁begin｜>"].map(
  (token) => Buffer.from(token),
);
/** All of them end so, and few others of a vocabulary's hundreds of thousands. */
const INFILL_END = ">".charCodeAt(0);

/** Reads a header's parts one after another. Throws RangeError where the bytes end. */
export class GgufReader {
  readonly #bytes: Buffer;
  at = 0;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  skip(count: number): void {
    if (count > this.#bytes.length - this.at) throw new RangeError("the header goes on");
    this.at += count;
  }

  u32(): number {
    this.skip(4);
    return this.#bytes.readUInt32LE(this.at - 4);
  }

  u64(): number {
    const low = this.u32();
    return this.u32() * 2 ** 32 + low;
  }

  text(): string {
    const length = this.u64();
    this.skip(length);
    return this.#bytes.toString("utf8", this.at - length, this.at);
  }

  /** A text, an integer, a flag, or `INFILL`; other values are passed over. */
  value(type: number): string | number | boolean | symbol | null {
    if (type === TEXT) return this.text();
    if (type === U64) return this.u64();
    if (type === BOOLEAN) {
      this.skip(1);
      return this.#bytes[this.at - 1] !== 0;
    }
    if (type !== ARRAY) {
      const bytes = valueBytes[type];
      if (bytes === undefined) throw new RangeError(`there is no metadata of type ${type}`);
      this.skip(bytes);
      if (SIGNED.includes(type)) return this.#bytes.readIntLE(this.at - bytes, bytes);
      return UNSIGNED.includes(type) ? this.#bytes.readUIntLE(this.at - bytes, bytes) : null;
    }
    const itemType = this.u32();
    const count = this.u64();
    const bytes = valueBytes[itemType];
    if (bytes !== undefined) this.skip(count * bytes);
    else if (itemType === TEXT) return this.#texts(count);
    else for (let index = 0; index < count; index++) this.value(itemType);
    return null;
  }

  #texts(count: number): symbol | null {
    let found: symbol | null = null;
    for (let index = 0; index < count; index++) {
      const length = this.u64();
      this.skip(length);
      if (this.#bytes[this.at - 1] !== INFILL_END) continue;
      if (INFILL_TOKENS.some((token) => token.compare(this.#bytes, this.at - length, this.at) === 0)) found = INFILL;
    }
    return found;
  }
}
