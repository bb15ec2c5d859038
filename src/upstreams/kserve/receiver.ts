import { AssistantError } from "../../core/errors.ts";
import type { AnswerSink } from "../../core/inference.ts";
import { type AnswerFacts, NO_FACTS, type Retry } from "../../core/upstream.ts";
import { type Receiver, SSE_HEADERS, type Verdict } from "../answer/receivers.ts";

export const HEADER_LENGTH = "inference-header-content-length";
/** Of what a worker says is wrong. */
const MAX_ERROR_BYTES = 64 * 1024;
const MAX_SHOWN = 300;

/** Another worker may take what this one did not begin. */
export const retryOf = ({ code }: AssistantError): Retry =>
  code === "worker_busy" || code === "worker_unavailable" ? "elsewhere" : code === "worker_error" ? "once" : "never";

export const unreachable = (worker: string, cause: unknown): AssistantError =>
  new AssistantError("worker_unavailable", `The worker at ${worker} cannot be reached.`, {
    remedy: "Start it again; `GET /registry` lists the workers.",
    retryAfterS: 1,
    cause,
  });

export const brokenOff = (worker: string, cause?: unknown): AssistantError =>
  new AssistantError("worker_unavailable", `The worker at ${worker} ended in the middle of its answer.`, {
    remedy: "Send the request again; the worker's log says what happened.",
    retryAfterS: 1,
    cause,
  });

/** What an answer with another status than 200 means. */
export function refusalOf(worker: string, status: number, text: string): AssistantError {
  const said = messageIn(text);
  if (status === 503 || status === 429)
    return new AssistantError("worker_busy", `The worker at ${worker} is busy: ${said}`, { retryAfterS: 1 });
  if (status === 400)
    return new AssistantError("invalid_request", `The worker at ${worker} refuses the request: ${said}`, {
      param: "inputs",
    });
  return new AssistantError("worker_error", `The worker at ${worker} answered with status ${status}: ${said}`, {
    remedy: "The worker's log says more.",
  });
}

function messageIn(text: string): string {
  let said: unknown = text;
  try {
    said = (JSON.parse(text) as { readonly error?: unknown }).error ?? text;
  } catch {
    // A text it is.
  }
  const shown = String(said).replaceAll(/\s+/g, " ").trim().slice(0, MAX_SHOWN);
  return shown === "" ? "it does not say why." : /[.!?…]$/.test(shown) ? shown : `${shown}.`;
}

/** Passes a worker's answer on as it is: JSON with binary tensors, or events. */
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

/** Collects what a worker says with another status than 200, and throws it as ours. */
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
    throw refusalOf(this.#worker, this.#status, Buffer.concat(this.#parts).toString());
  }
  facts(): AnswerFacts {
    return NO_FACTS;
  }
  betweenEvents(): boolean {
    return true;
  }
  dispose(): void {}
}
