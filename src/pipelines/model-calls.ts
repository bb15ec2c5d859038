import { randomBytes } from "node:crypto";
import { Cancellation } from "../core/cancellation.ts";
import { newRequestId } from "../core/ids.ts";
import { bodyOf, type CallBody, type InferenceCall, type JsonObject } from "../core/inference.ts";
import { CallerGone } from "../core/upstream.ts";
import { answerOf } from "../inference/collect.ts";
import type { InferenceCore } from "../inference/core.ts";
import { EventSink } from "../inference/events.ts";
import { Channel } from "./channel.ts";

/** Reads a chat request as every door does that has one. Throws `invalid_request`. */
export type ChatDecoder = (json: JsonObject) => Pick<InferenceCall, "body" | "checked" | "prompt" | "maxTokens">;

export interface ModelCallsOptions {
  readonly inference: Pick<InferenceCore, "run">;
  readonly decode: ChatDecoder;
  /** The call of the pipeline: whose rights, priority and deadline hold. */
  readonly call: InferenceCall;
  /** Of the pipeline in hop lists, so that one that asks itself is refused. */
  readonly hop: string;
  readonly signal: AbortSignal;
}

interface ChatChunk {
  readonly choices?: readonly { readonly delta?: { readonly content?: string | null } }[];
}

/** Pieces of an answer that wait for the stage. */
const PIECES = 64;

/** Calls of one request's stages to models of this daemon: in process, on behalf of the pipeline's caller. */
export class ModelCalls {
  readonly #options: ModelCallsOptions;

  constructor(options: ModelCallsOptions) {
    this.#options = options;
  }

  /** The text of an answer as it comes. `request`: as `POST /v1/chat/completions` takes it. */
  async *chat(request: JsonObject & { readonly model: string }): AsyncGenerator<string, void> {
    const { decode } = this.#options;
    const json = { ...request, stream: true };
    const pieces = new Channel<string>(PIECES);
    const sink = new EventSink({
      event: (event) => {
        const content = (event as ChatChunk).choices?.[0]?.delta?.content;
        return !content || pieces.push(content);
      },
      onDrain: (callback) => void pieces.drained().then(callback, callback),
    });
    using asked = this.#ask({ ...decode(json), operation: "chat", wire: "openai.chat", streamed: true }, request.model);
    const answered = this.#options.inference.run(asked.call, sink).then(async () => {
      await sink.ended;
      pieces.end();
    });
    answered.catch((error: Error) => pieces.fail(error));
    yield* pieces;
    await answered;
  }

  /** An audio file. `request`: as for `POST /v1/audio/speech`. */
  async speak(request: JsonObject & { readonly model: string; readonly input: string }): Promise<Buffer> {
    const body = bodyOf(request);
    using asked = this.#ask(
      {
        body,
        prompt: { text: request.input },
        maxTokens: 0,
        operation: "speech",
        wire: "openai.speech",
        streamed: false,
      },
      request.model,
    );
    return (await answerOf(this.#options.inference, asked.call)).body;
  }

  /** The text of a recording. `fields`: further ones of `POST /v1/audio/transcriptions`. */
  async transcribe(model: string, audio: Uint8Array, fields: Readonly<Record<string, string>> = {}): Promise<string> {
    const body = formOf({ ...fields, model, response_format: "json" }, Buffer.from(audio));
    using asked = this.#ask(
      { body, prompt: {}, maxTokens: 0, operation: "transcription", wire: "openai.transcription", streamed: false },
      model,
    );
    const answer = await answerOf(this.#options.inference, asked.call);
    return (JSON.parse(answer.body.toString()) as { readonly text: string }).text;
  }

  #ask(
    what: Pick<InferenceCall, "body" | "checked" | "prompt" | "maxTokens" | "operation" | "wire" | "streamed">,
    model: string,
  ): Asked {
    const { call, hop, signal } = this.#options;
    return new Asked(
      {
        ...what,
        id: newRequestId(),
        clientId: call.id,
        caller: call.caller,
        span: call.span ?? null,
        route: call.route,
        arrivedAt: performance.now(),
        selector: { model, among: null },
        priority: call.priority,
        deadlineAt: call.deadlineAt,
        hops: [...call.hops, hop],
        cachePart: call.cachePart,
      },
      signal,
    );
  }
}

/** A call that ends with the request it serves, or when its stage wants no more of it. */
class Asked implements Disposable {
  readonly call: InferenceCall;
  readonly #signal: AbortSignal;
  readonly #cancel: () => void;

  constructor(call: Omit<InferenceCall, "cancellation">, signal: AbortSignal) {
    const cancellation = new Cancellation();
    this.call = { ...call, cancellation };
    this.#signal = signal;
    this.#cancel = () => cancellation.cancel(new CallerGone());
    if (signal.aborted) this.#cancel();
    else signal.addEventListener("abort", this.#cancel, { once: true });
  }

  [Symbol.dispose](): void {
    this.#signal.removeEventListener("abort", this.#cancel);
    this.#cancel();
  }
}

function formOf(fields: Readonly<Record<string, string>>, audio: Buffer): CallBody {
  const boundary = `assistant-${randomBytes(16).toString("hex")}`;
  const part = (disposition: string): string => `--${boundary}\r\nContent-Disposition: form-data; ${disposition}\r\n`;
  const texts = Object.entries(fields).map(([name, value]) => `${part(`name="${name}"`)}\r\n${value}\r\n`);
  const file = { name: "audio.wav", type: "audio/wav", bytes: audio };
  const head = `${part(`name="file"; filename="${file.name}"`)}Content-Type: ${file.type}\r\n\r\n`;
  const bytes = Buffer.concat([Buffer.from(texts.join("") + head), audio, Buffer.from(`\r\n--${boundary}--\r\n`)]);
  return { json: fields, bytes, form: { contentType: `multipart/form-data; boundary=${boundary}`, file } };
}
