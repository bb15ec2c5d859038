import type { Cancellation } from "./cancellation.ts";
import type { CapabilityQuery } from "./capability-query.ts";
import type { AssistantError } from "./errors.ts";
import type { Operation } from "./model.ts";
import type { Span } from "./trace.ts";

/** The exact shape of a request and its answer. */
export type WireFormat =
  | "openai.chat"
  | "openai.completion"
  | "openai.embedding"
  | "openai.image"
  | "openai.speech"
  | "openai.transcription"
  | "openai.translation"
  | "openai.moderation"
  | "jina.rerank"
  | "vllm.score"
  | "llamacpp.tokenize"
  | "llamacpp.detokenize"
  | "llamacpp.template"
  | "llamacpp.tokens"
  | "llamacpp.completion"
  | "llamacpp.infill"
  | "llamacpp.props"
  | "llamacpp.adapters"
  | "pipeline.input"
  | "kserve.infer";

export type JsonObject = Readonly<Record<string, unknown>>;

/** A request's body as the client wrote it, and parsed. It is sent on as written wherever that will do. */
export interface CallBody {
  readonly bytes: Buffer;
  /** Of a form: its fields, those that occur several times as lists. */
  readonly json: JsonObject;
  /** Set where the body is `multipart/form-data`. */
  readonly form?: CallForm;
  /** Of the Open Inference Protocol: length of the JSON in `bytes`, behind which binary tensors follow. */
  readonly headBytes?: number;
}

/**
 * A generated body. Its bytes are only serialized when requested: most targets get others, and large bodies take long.
 */
export function bodyOf(json: JsonObject): CallBody {
  let written: Buffer | null = null;
  return {
    json,
    get bytes() {
      written ??= Buffer.from(JSON.stringify(json));
      return written;
    },
  };
}

/** The parts of a form other than its fields. */
export interface CallForm {
  /** With the boundary. */
  readonly contentType: string;
  readonly file: { readonly name: string; readonly type: string; readonly bytes: Buffer };
}

/** The origin of a request: an API key, or this machine's own user. */
export interface Caller {
  /** Fairness and usage are counted by it; the key's name, or `local`. */
  readonly tenant: string;
  /** Names or aliases of the models it may use; null: all. */
  readonly models: readonly string[] | null;
  /** Of requests that name none, 0–100; missing: the usual one. */
  readonly priority?: number;
}

/** The parts of a body that make up the prompt, as the client wrote them and unchecked. */
export interface Prompt {
  /** Chat messages, in order. */
  readonly messages?: unknown;
  /** Chat templates put tools at the beginning of the prompt. */
  readonly tools?: unknown;
  /** A text, token numbers, or lists of either: of a completion or an embedding. */
  readonly text?: unknown;
}

/** What is known of a request before its body is read. */
export interface CallOrigin {
  /** Given by this daemon, and unique among its requests. */
  readonly id: string;
  /** The client's own id for it, which its answer repeats; null or missing: it has none. */
  readonly clientId?: string | null;
  readonly caller: Caller;
  /** What the request log calls it, such as `/v1/chat/completions`. */
  readonly route: string;
  /** Monotonic milliseconds. */
  readonly arrivedAt: number;
  /** Cancelled when the answer is no longer needed. */
  readonly cancellation: Cancellation;
  /** What it is a part of; null or missing: of nothing that is traced. */
  readonly span?: Span | null;
}

/** One request for a model, whichever door or feature it comes from. */
export interface InferenceCall extends CallOrigin {
  readonly selector: {
    /** Name or alias; "": the default model for the operation. */
    readonly model: string;
    /** One of these serves it, whatever `model` says; null: any. */
    readonly among: readonly string[] | null;
    /** It must be served by a model that offers all of these, which a named model must also do. Missing: none. */
    readonly capabilities?: CapabilityQuery;
  };
  readonly operation: Operation;
  readonly wire: WireFormat;
  readonly body: CallBody;
  /**
   * The same, checked field by field and named as llama.cpp's engines name it. Throws `invalid_request`. Targets that
   * check requests themselves get the body as the client wrote it; missing: there is nothing to check.
   */
  readonly checked?: () => Pick<InferenceCall, "body" | "prompt">;
  readonly prompt: Prompt;
  readonly streamed: boolean;
  /** Most tokens the answer may have; null: no limit was set. 0 for operations that generate nothing. */
  readonly maxTokens: number | null;
  /** 0–100, higher first. */
  readonly priority: number;
  /** Deadline for the start of the answer, milliseconds of the monotonic clock, or null. */
  readonly deadlineAt: number | null;
  /** Ids of the daemons that have forwarded it, first to last. */
  readonly hops: readonly string[];
  /** Divides the tenant's cached prompts further; null: not at all. */
  readonly cachePart: string | null;
  /** Only the worker that this is a reservation of may answer it; missing: any. */
  readonly reservation?: string;
}

/** What a call waits for. */
export interface Waiting {
  readonly reason: "queued" | "loading";
  /** 1-based place among the waiting requests for this model. */
  readonly place: number;
  readonly expectedStartMs: number | null;
}

/**
 * The destination of an answer: an HTTP client, a gRPC caller, or code in this process. Exactly one of `end`,
 * `endFramed`, `fail` and `abort` is called, once, as the last call.
 */
export interface AnswerSink {
  /** The status that was sent; null before the head. */
  readonly status: number | null;
  /** Takes bytes with the chunk framing of HTTP/1.1, so that an engine's answer passes through untouched. */
  readonly takesFramed: boolean;
  /**
   * `headers`: name, value, … `length`: bytes of the body, where they are known. There is one head: later calls do
   * nothing.
   */
  head(status: number, headers: readonly string[], length?: number): void;
  /** A part of the body. False: wait for `onDrain` before the next. */
  chunk(payload: Buffer): boolean;
  /** The same with its chunk framing; only where `takesFramed` and the head stated no length. */
  framed(bytes: Buffer): boolean;
  /** Calls back once when what was written has been taken. */
  onDrain(callback: () => void): void;
  end(last?: Buffer): void;
  /** `last` holds the final chunk of a chunked body. */
  endFramed(last: Buffer): void;
  /**
   * Why there is no answer, or no more of it. `headers`: for the head, where none was sent. `betweenEvents`: one more
   * event may be appended.
   */
  fail(error: AssistantError, headers: readonly string[], betweenEvents: boolean): void;
  /** The receiver is gone. */
  abort(): void;
  /**
   * The request still waits. Repeated from time to time, so that a long wait can be made visible. `headers`: as in
   * `head`.
   */
  waiting?(wait: Waiting, headers: readonly string[]): void;
}
