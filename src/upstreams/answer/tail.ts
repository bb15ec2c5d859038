import type { AnswerFacts } from "../../core/upstream.ts";
import { endsBody } from "./chunked.ts";

/** The final events with usage and timings are under two kilobytes; the rest leaves room for what is between them. */
const KEPT_BYTES = 8 * 1024;
const spare: Buffer[] = [];
const MAX_SPARE = 64;

/** Keeps the last kilobytes of a stream by copying: holding on to the chunks would keep whole read buffers alive. */
export class Tail {
  #buffer = spare.pop() ?? Buffer.allocUnsafeSlow(2 * KEPT_BYTES);
  #length = 0;

  push(bytes: Buffer): void {
    const room = this.#buffer.length - this.#length;
    if (bytes.length > room) {
      if (bytes.length >= KEPT_BYTES) {
        bytes.copy(this.#buffer, 0, bytes.length - KEPT_BYTES);
        this.#length = KEPT_BYTES;
        return;
      }
      const keep = Math.min(this.#length, KEPT_BYTES);
      this.#buffer.copyWithin(0, this.#length - keep, this.#length);
      this.#length = keep;
    }
    bytes.copy(this.#buffer, this.#length);
    this.#length += bytes.length;
  }

  /** Whether the last chunk of a chunked body has arrived. */
  endsBody(): boolean {
    // Compared byte by byte first: this runs for every token.
    const at = this.#length;
    return at >= 5 && this.#buffer[at - 1] === 10 && this.#buffer[at - 3] === 10 && endsBody(this.bytes());
  }

  /** Valid until the next call. */
  bytes(): Buffer {
    return this.#buffer.subarray(0, this.#length);
  }

  /** Returns the memory for the next request. The tail must not be used afterwards. */
  release(): void {
    if (spare.length < MAX_SPARE && this.#buffer.length > 0) spare.push(this.#buffer);
    this.#buffer = Buffer.alloc(0);
    this.#length = 0;
  }
}

/**
 * Reads counts, times and the finish reason by name from the end of an answer, JSON or SSE, framed or not. Within a
 * JSON string every quote is escaped, so `"name":` can only be a key. The last one counts.
 */
export function readFacts(tail: Buffer): AnswerFacts {
  // A chunk boundary may be within the event; JSON text itself contains no raw line break.
  const bytes = tail.toString("latin1");
  const text = bytes.includes("\r\n") ? bytes.replace(/\r\n[0-9a-fA-F]+\r\n/g, "") : bytes;
  const cachedByTimings = numberOf(text, '"cache_n":');
  const prefilled = numberOf(text, '"prompt_n":');
  const fromTimings = prefilled === null ? null : prefilled + (cachedByTimings ?? 0);
  return {
    promptTokens: numberOf(text, '"prompt_tokens":') ?? fromTimings,
    cachedTokens: numberOf(text, '"cached_tokens":') ?? cachedByTimings,
    completionTokens: numberOf(text, '"completion_tokens":') ?? numberOf(text, '"predicted_n":'),
    promptMs: numberOf(text, '"prompt_ms":'),
    completionMs: numberOf(text, '"predicted_ms":'),
    finishReason: finishReasonOf(text),
  };
}

/** The last one that is not null: a chunk with usage may follow the one that ended the answer. */
function finishReasonOf(text: string): string | null {
  const at = Math.max(text.lastIndexOf('"finish_reason":"'), text.lastIndexOf('"finish_reason": "'));
  return at < 0 ? stopReasonOf(text) : (/^"finish_reason": ?"(\w+)"/.exec(text.slice(at, at + 64))?.[1] ?? null);
}

/** Its name in llama.cpp's own format. */
function stopReasonOf(text: string): string | null {
  const at = text.lastIndexOf('"stop_type":"');
  const type = at < 0 ? undefined : /^"stop_type":"(eos|word|limit)"/.exec(text.slice(at, at + 32))?.[1];
  return type === undefined ? null : type === "limit" ? "length" : "stop";
}

function numberOf(text: string, key: string): number | null {
  const at = text.lastIndexOf(key);
  if (at < 0) return null;
  const value = Number.parseFloat(text.slice(at + key.length, at + key.length + 32));
  return Number.isFinite(value) ? value : null;
}
