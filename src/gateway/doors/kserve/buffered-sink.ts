import { type AssistantError, presentable } from "../../../core/errors.ts";
import type { AnswerSink } from "../../../core/inference.ts";
import { HEADER_LENGTH } from "../../../upstreams/kserve/receiver.ts";

/** Writes a whole answer anew for a client: takes its bytes and the length of its JSON. */
type Rewrite = (bytes: Buffer, headBytes: number) => { readonly bytes: Buffer; readonly type: string };

/** Collects a handler's answer, which the client gets in another form. */
export class BufferedSink implements AnswerSink {
  readonly takesFramed = false;
  readonly #client: AnswerSink;
  readonly #rewrite: Rewrite;
  readonly #parts: Buffer[] = [];
  #headers: readonly string[] = [];

  constructor(client: AnswerSink, rewrite: Rewrite) {
    this.#client = client;
    this.#rewrite = rewrite;
  }

  get status(): number | null {
    return this.#client.status;
  }
  head(_status: number, headers: readonly string[]): void {
    this.#headers = headers;
  }
  chunk(payload: Buffer): boolean {
    this.#parts.push(payload);
    return true;
  }
  framed(): boolean {
    throw new TypeError("a sink that takes no frames was given one");
  }
  onDrain(callback: () => void): void {
    setImmediate(callback);
  }
  end(last?: Buffer): void {
    if (last !== undefined) this.#parts.push(last);
    const whole = Buffer.concat(this.#parts);
    try {
      const { bytes, type } = this.#rewrite(whole, headBytesIn(this.#headers) ?? whole.length);
      this.#client.head(200, ["Content-Type", type, ...ownHeaders(this.#headers)], bytes.length);
      this.#client.end(bytes);
    } catch (error) {
      this.#client.fail(presentable(error), [], true);
    }
  }
  endFramed(): void {
    this.framed();
  }
  fail(error: AssistantError, headers: readonly string[], betweenEvents: boolean): void {
    this.#client.fail(error, headers, betweenEvents);
  }
  abort(): void {
    this.#client.abort();
  }
}

/** The length of an answer's JSON, behind which binary tensors come; null: it is JSON alone. */
export function headBytesIn(headers: readonly string[]): number | null {
  const at = headers.findIndex((name, index) => index % 2 === 0 && name.toLowerCase() === HEADER_LENGTH);
  return at < 0 ? null : Number(headers[at + 1]);
}

const ownHeaders = (headers: readonly string[]): string[] =>
  headers.filter((_, index) => (headers[index - (index % 2)] as string).toLowerCase().startsWith("x-"));
