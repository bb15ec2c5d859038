import type { AssistantError } from "../core/errors.ts";
import type { AnswerSink } from "../core/inference.ts";

/** Collects the pieces of an answer, which is processed when it is complete. */
export abstract class GatheredSink implements AnswerSink {
  readonly takesFramed = false;
  readonly #parts: Buffer[] = [];
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
    this.whole(Buffer.concat(last === undefined ? this.#parts : [...this.#parts, last]));
  }
}
