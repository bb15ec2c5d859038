import { AssistantError } from "../../core/errors.ts";

const CR = 13;
const LF = 10;

/** Wraps bytes as one chunk of `Transfer-Encoding: chunked`. */
export function frameChunk(bytes: Buffer): Buffer {
  const size = `${bytes.length.toString(16)}\r\n`;
  const framed = Buffer.allocUnsafe(size.length + bytes.length + 2);
  framed.write(size, "latin1");
  framed.set(bytes, size.length);
  framed[framed.length - 2] = CR;
  framed[framed.length - 1] = LF;
  return framed;
}

/** The chunk that ends a chunked body without trailers. */
export const LAST_CHUNK = Buffer.from("0\r\n\r\n", "latin1");

/** Whether the bytes so far end a chunked body. SSE and JSON never contain a line that is a lone `0`. */
export const endsBody = (tail: Buffer): boolean => {
  const length = tail.length;
  if (length < 5 || tail[length - 1] !== LF || tail[length - 3] !== LF) return false;
  const last = tail.toString("latin1", Math.max(0, length - 7));
  return last === "\r\n0\r\n\r\n" || last === "0\r\n\r\n";
};

const MAX_TRAILERS = 32;
/** Maximum size of a chunk. */
const MAX_DIGITS = 8;
const NO_DIGIT = 255;
/** The value of each byte as a hexadecimal digit. */
const DIGITS = Uint8Array.from({ length: 256 }, (_, code) => {
  const digit = Number.parseInt(String.fromCharCode(code), 16);
  return Number.isNaN(digit) ? NO_DIGIT : digit;
});

type State = "size" | "data" | "data-end" | "trailer" | "done";

/** Decodes a chunked body that arrives in pieces of any size. Throws `engine_error` if it is not chunked. */
export class ChunkDecoder {
  #state: State = "size";
  #line = "";
  #left = 0;
  /** Trailer lines, names in lower case. */
  readonly trailers = new Map<string, string>();

  get done(): boolean {
    return this.#state === "done";
  }

  /** The payload within `bytes`, in order. Bytes after the last chunk are ignored. */
  push(bytes: Buffer): Buffer[] {
    const payload: Buffer[] = [];
    let at = 0;
    while (at < bytes.length && this.#state !== "done") {
      if (this.#state === "data") {
        const end = Math.min(bytes.length, at + this.#left);
        payload.push(bytes.subarray(at, end));
        this.#left -= end - at;
        at = end;
        if (this.#left === 0) this.#state = "data-end";
      } else {
        const next = this.#line === "" ? this.#readShort(bytes, at) : 0;
        at = next > 0 ? next : this.#readLine(bytes, at);
      }
    }
    return payload;
  }

  /**
   * Fast path for typical lines, without creating strings: the start of the next line; 0: the line is different, or
   * incomplete.
   */
  #readShort(bytes: Buffer, from: number): number {
    let size = 0;
    let at = from;
    for (; at - from < MAX_DIGITS; at++) {
      const digit = DIGITS[bytes[at] ?? 0] ?? NO_DIGIT;
      if (digit === NO_DIGIT) break;
      size = size * 16 + digit;
    }
    if (bytes[at] !== CR || bytes[at + 1] !== LF) return 0;
    if (this.#state === "data-end" && at === from) this.#state = "size";
    else if (this.#state === "size" && size > 0) {
      this.#left = size;
      this.#state = "data";
    } else return 0;
    return at + 2;
  }

  #readLine(bytes: Buffer, from: number): number {
    const end = bytes.indexOf(LF, from);
    this.#line += bytes.toString("latin1", from, end < 0 ? bytes.length : end);
    if (this.#line.length > 4096) throw malformed(this.#line);
    if (end < 0) return bytes.length;
    const line = this.#line.charCodeAt(this.#line.length - 1) === CR ? this.#line.slice(0, -1) : this.#line;
    this.#line = "";
    this.#lineRead(line);
    return end + 1;
  }

  #lineRead(line: string): void {
    if (this.#state === "data-end") {
      if (line !== "") throw malformed(line);
      this.#state = "size";
    } else if (this.#state === "size") {
      const size = /^([0-9a-fA-F]{1,8})\s*(?:;.*)?$/.exec(line)?.[1];
      if (size === undefined) throw malformed(line);
      this.#left = Number.parseInt(size, 16);
      this.#state = this.#left === 0 ? "trailer" : "data";
    } else if (line === "") {
      this.#state = "done";
    } else {
      const colon = line.indexOf(":");
      if (this.trailers.size < MAX_TRAILERS)
        this.trailers.set(line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim());
    }
  }
}

const malformed = (line: string): AssistantError =>
  new AssistantError("engine_error", `The engine's chunked answer is broken at ${JSON.stringify(line.slice(0, 40))}.`);
