import { type AssistantError, presentable } from "../../../core/errors.ts";
import type { AnswerSink } from "../../../core/inference.ts";
import { GatheredSink } from "../../../inference/gathered-sink.ts";
import { HEADER_LENGTH } from "../../../upstreams/kserve/receiver.ts";

/** Rewrites a complete answer for a client, from its bytes and the length of its JSON. */
type Rewrite = (bytes: Buffer, headBytes: number) => { readonly bytes: Buffer; readonly type: string };

/** Buffers a handler's answer, which is converted for the client. */
export class BufferedSink extends GatheredSink {
  readonly #client: AnswerSink;
  readonly #rewrite: Rewrite;

  constructor(client: AnswerSink, rewrite: Rewrite) {
    super();
    this.#client = client;
    this.#rewrite = rewrite;
  }

  get status(): number | null {
    return this.#client.status;
  }
  fail(error: AssistantError, headers: readonly string[], betweenEvents: boolean): void {
    this.#client.fail(error, headers, betweenEvents);
  }
  abort(): void {
    this.#client.abort();
  }

  protected whole(body: Buffer): void {
    try {
      const { bytes, type } = this.#rewrite(body, headBytesIn(this.headers) ?? body.length);
      this.#client.head(200, ["Content-Type", type, ...ownHeaders(this.headers)], bytes.length);
      this.#client.end(bytes);
    } catch (error) {
      this.#client.fail(presentable(error), [], true);
    }
  }
}

/** The length of an answer's JSON, followed by binary tensors; null: it is only JSON. */
export function headBytesIn(headers: readonly string[]): number | null {
  const at = headers.findIndex((name, index) => index % 2 === 0 && name.toLowerCase() === HEADER_LENGTH);
  return at < 0 ? null : Number(headers[at + 1]);
}

const ownHeaders = (headers: readonly string[]): string[] =>
  headers.filter((_, index) => (headers[index - (index % 2)] as string).toLowerCase().startsWith("x-"));
