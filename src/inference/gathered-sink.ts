import { AssistantError } from "../core/errors.ts";
import type { AnswerSink } from "../core/inference.ts";

/** Longest answer that is kept in memory: more than the vectors of a full request, less than a text may have. */
const MAX_BYTES = 256 * 2 ** 20;

/** Collects the pieces of an answer, which is processed when it is complete. Throws `engine_error` if it is too long. */
export abstract class GatheredSink implements AnswerSink {
  readonly takesFramed = false;
  readonly #parts: Buffer[] = [];
  #bytes = 0;
  /** Of its head: name, value, … */
  protected headers: readonly string[] = [];

  abstract get status(): number | null;
  abstract fail(error: AssistantError, headers: readonly string[], betweenEvents: boolean): void;
  abstract abort(): void;
  /** It is complete. */
  protected abstract whole(body: Buffer): void;

  head(_status: number, headers: readonly string[]): void {
    this.headers = headers;
  }
  chunk(payload: Buffer): boolean {
    this.#bytes += payload.length;
    if (this.#bytes > MAX_BYTES)
      throw new AssistantError("engine_error", `The answer has more than ${MAX_BYTES / 2 ** 20} MiB.`, {
        remedy: "Ask for less at once, or for a stream.",
      });
    this.#parts.push(payload);
    return true;
  }
  framed(): boolean {
    throw new TypeError("this sink does not accept frames");
  }
  endFramed(): void {
    this.framed();
  }
  onDrain(callback: () => void): void {
    setImmediate(callback);
  }
  end(last?: Buffer): void {
    if (last !== undefined) this.chunk(last);
    this.whole(Buffer.concat(this.#parts));
  }
}
