/** Reading HTTP/1.1 answers from a socket, whichever way their length is told, at little cost. */

const HEAD_END = Buffer.from("\r\n\r\n");

/** One answer after another from one connection. */
export class AnswerReader {
  status = 0;
  /** The connection ends with this answer. */
  closes = false;
  readonly #onBody: (bytes: Buffer) => void;
  #held: Buffer = Buffer.alloc(0);
  #phase: "head" | "counted" | "size" | "chunk" | "trailer" | "rest" = "head";
  #left = 0;

  /** `onBody` gets the bytes of the body, without chunk framing, as they come. */
  constructor(onBody: (bytes: Buffer) => void) {
    this.#onBody = onBody;
  }

  /** Whether some of an answer has come and its end has not. */
  get underWay(): boolean {
    return this.#phase !== "head" || this.#held.length > 0;
  }

  /** Takes what the socket gave; true once the answer is complete. Throws on what is no HTTP. */
  feed(bytes: Buffer): boolean {
    let rest = this.#held.length > 0 ? Buffer.concat([this.#held, bytes]) : bytes;
    this.#held = Buffer.alloc(0);
    for (;;) {
      const used = this.#step(rest);
      if (used === "done") {
        this.#phase = "head";
        return true;
      }
      if (used === "more") {
        this.#held = rest;
        return false;
      }
      rest = rest.subarray(used);
      if (rest.length === 0 && this.#phase !== "counted") return false;
    }
  }

  /** The connection has ended: true when that is how the answer's length was told. */
  end(): boolean {
    return this.#phase === "rest";
  }

  #step(bytes: Buffer): number | "done" | "more" {
    switch (this.#phase) {
      case "head":
        return this.#head(bytes);
      case "counted":
      case "chunk":
        return this.#counted(bytes);
      case "size":
        return this.#size(bytes);
      case "trailer": {
        const end = bytes.indexOf("\r\n");
        if (end < 0) return "more";
        return end === 0 ? "done" : end + 2;
      }
      case "rest":
        this.#onBody(bytes);
        return bytes.length;
    }
  }

  #head(bytes: Buffer): number | "more" {
    const end = bytes.indexOf(HEAD_END);
    if (end < 0) return "more";
    const head = bytes.toString("latin1", 0, end);
    if (!head.startsWith("HTTP/1.")) throw new Error(`not an HTTP answer: ${JSON.stringify(head.slice(0, 60))}`);
    this.status = Number(head.slice(9, 12));
    this.closes = /\r\nconnection: *close/i.test(head) || head.startsWith("HTTP/1.0");
    const length = /\r\ncontent-length: *(\d+)/i.exec(head)?.[1];
    if (length !== undefined) {
      this.#phase = "counted";
      this.#left = Number(length);
    } else this.#phase = /\r\ntransfer-encoding: *chunked/i.test(head) ? "size" : "rest";
    return end + 4;
  }

  #counted(bytes: Buffer): number | "done" | "more" {
    const taken = Math.min(this.#left, bytes.length);
    this.#left -= taken;
    if (taken > 0) this.#onBody(taken === bytes.length ? bytes : bytes.subarray(0, taken));
    if (this.#left > 0) return taken === 0 ? "more" : taken;
    if (this.#phase === "counted") return "done";
    this.#phase = "size";
    return taken;
  }

  #size(bytes: Buffer): number | "more" {
    // The line break that ends the chunk before is still there.
    const start = bytes.length >= 2 && bytes[0] === 13 ? 2 : 0;
    const end = bytes.indexOf("\r\n", start);
    if (end < 0) return "more";
    const size = Number.parseInt(bytes.toString("latin1", start, end), 16);
    if (Number.isNaN(size)) throw new Error("not the size of a chunk");
    this.#left = size;
    this.#phase = size === 0 ? "trailer" : "chunk";
    return end + 2;
  }
}

/** Counts the `data:` lines of an event stream, however it is cut. */
export class EventCounter {
  #tail = "";

  /** Events that began in `text`. */
  count(text: string): number {
    const all = this.#tail + text;
    let events = 0;
    let at = 0;
    for (let end = all.indexOf("\n"); end >= 0; end = all.indexOf("\n", at)) {
      if (all.startsWith("data:", at)) events++;
      at = end + 1;
    }
    this.#tail = all.slice(at);
    return events;
  }
}

/** The text of an answer to a chat request, whole or streamed. Throws when it is neither. */
export function contentOf(body: string, streamed: boolean): string {
  if (!streamed) return messageOf(JSON.parse(body), "message");
  const events = body.split("\n").filter((line) => line.startsWith("data:") && line.trim() !== "data: [DONE]");
  return events.map((line) => messageOf(JSON.parse(line.slice(5)), "delta")).join("");
}

function messageOf(answer: unknown, field: "message" | "delta"): string {
  const { choices } = answer as {
    choices?: { message?: { content?: string | null }; delta?: { content?: string | null } }[];
  };
  if (!Array.isArray(choices)) throw new Error("an answer without `choices`");
  return choices[0]?.[field]?.content ?? "";
}
