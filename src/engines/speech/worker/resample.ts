import { Transform, type TransformCallback } from "node:stream";

const BYTES = 2;

/** Changes the rate of 16-bit samples, by straight lines between them: speech has little near the top of its band. */
export class Resampler extends Transform {
  /** Samples of the input for one of the output. */
  readonly #step: number;
  /** The last sample of what came before, and where the next one of the output is, counted from it. */
  #last: number | null = null;
  #at = 0;
  #rest: Buffer = Buffer.alloc(0);

  constructor(from: number, to: number) {
    super();
    this.#step = from / to;
  }

  override _transform(chunk: Buffer, _encoding: string, done: TransformCallback): void {
    done(null, this.#resampled(chunk));
  }

  #resampled(chunk: Buffer): Buffer {
    const bytes = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    const count = Math.floor(bytes.length / BYTES);
    this.#rest = bytes.subarray(count * BYTES);
    if (count === 0) return Buffer.alloc(0);
    const first = this.#last === null ? [] : [this.#last];
    const at = (index: number): number =>
      index < first.length ? (first[index] as number) : bytes.readInt16LE((index - first.length) * BYTES);
    const end = first.length + count - 1;
    const made: number[] = [];
    for (; this.#at < end; this.#at += this.#step) {
      const before = Math.floor(this.#at);
      const share = this.#at - before;
      made.push(Math.round(at(before) * (1 - share) + at(before + 1) * share));
    }
    this.#at -= end;
    this.#last = at(end);
    return Buffer.from(Int16Array.from(made).buffer);
  }
}
