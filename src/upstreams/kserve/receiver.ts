import type { AnswerSink, CallBody } from "../../core/inference.ts";
import { type AnswerFacts, NO_FACTS } from "../../core/upstream.ts";
import { type Receiver, SSE_HEADERS, type Verdict } from "../answer/receivers.ts";
import { refusalOf } from "../answer/worker-failure.ts";

export const HEADER_LENGTH = "inference-header-content-length";

/** What a request's head says of its body. */
export const contentHeaders = ({ headBytes }: CallBody): Record<string, string> =>
  headBytes === undefined
    ? { "content-type": "application/json" }
    : { "content-type": "application/octet-stream", [HEADER_LENGTH]: String(headBytes) };

/** Maximum length of a worker's error. */
const MAX_ERROR_BYTES = 64 * 1024;

/** Passes a worker's answer on unchanged: JSON with binary tensors, or events. */
export class InferReceiver implements Receiver {
  readonly #sink: AnswerSink;
  readonly #head: readonly string[];
  readonly #isStream: boolean;
  readonly #length: number | undefined;
  begun = false;
  #tail = "";

  constructor(
    sink: AnswerSink,
    content: { readonly type: string; readonly length: number | undefined; readonly headLength: string | undefined },
    headers: readonly string[],
  ) {
    this.#sink = sink;
    this.#isStream = content.type.startsWith("text/event-stream");
    this.#length = this.#isStream ? undefined : content.length;
    const ofContent = content.headLength === undefined ? [] : ["Inference-Header-Content-Length", content.headLength];
    this.#head = ["Content-Type", content.type, ...ofContent, ...(this.#isStream ? SSE_HEADERS : []), ...headers];
  }

  body(bytes: Buffer): Verdict {
    this.#sink.head(200, this.#head, this.#sink.status === null ? this.#length : undefined);
    this.begun = true;
    this.#tail = bytes.toString("latin1", Math.max(0, bytes.length - 2));
    return this.#sink.chunk(bytes) ? "more" : "pause";
  }
  closed(): void {
    this.#sink.head(200, this.#head, this.#sink.status === null ? this.#length : undefined);
    this.begun = true;
    this.#sink.end();
  }
  facts(): AnswerFacts {
    return NO_FACTS;
  }
  betweenEvents(): boolean {
    return this.#isStream && (this.#tail === "" || this.#tail === "\n\n");
  }
  dispose(): void {}
}

/** Collects a response with a status other than 200, and throws it as an error of the catalogue. */
export class RefusalReceiver implements Receiver {
  readonly begun = false;
  readonly #parts: Buffer[] = [];
  readonly #worker: string;
  readonly #status: number;
  #left = MAX_ERROR_BYTES;

  constructor(worker: string, status: number) {
    this.#worker = worker;
    this.#status = status;
  }

  body(bytes: Buffer): Verdict {
    this.#left -= bytes.length;
    if (this.#left < 0) this.closed();
    this.#parts.push(bytes);
    return "more";
  }
  closed(): void {
    throw refusalOf(this.#worker, this.#status, Buffer.concat(this.#parts).toString(), "inputs");
  }
  facts(): AnswerFacts {
    return NO_FACTS;
  }
  betweenEvents(): boolean {
    return true;
  }
  dispose(): void {}
}
