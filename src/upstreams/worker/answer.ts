import type { AnswerSink, InferenceCall } from "../../core/inference.ts";

/** Writes a worker's text as OpenAI's answer, streamed or in one piece. */
export interface AnswerWriter {
  /** False: wait for the sink's `onDrain`. */
  text(piece: string): boolean;
  end(): void;
}

export interface WriterOptions {
  readonly call: InferenceCall;
  readonly sink: AnswerSink;
  readonly model: string;
  /** Of the head: name, value, … */
  readonly headers: readonly string[];
}

export const answerWriter = (options: WriterOptions): AnswerWriter =>
  options.call.streamed ? new StreamWriter(options) : new WholeWriter(options);

const createdS = (): number => Math.floor(Date.now() / 1000);
const SSE = ["Content-Type", "text/event-stream", "Cache-Control", "no-cache", "X-Accel-Buffering", "no"];
const DONE = "data: [DONE]\n\n";

/** The common fields of the objects are serialized once: only the text changes from chunk to chunk. */
class StreamWriter implements AnswerWriter {
  readonly #sink: AnswerSink;
  readonly #headers: readonly string[];
  readonly #opening: string;
  readonly #isChat: boolean;
  #begun = false;

  constructor({ call, sink, model, headers }: WriterOptions) {
    this.#sink = sink;
    this.#headers = headers;
    this.#isChat = call.operation === "chat";
    const object = this.#isChat ? "chat.completion.chunk" : "text_completion";
    const common = { id: idOf(call), object, created: createdS(), model };
    this.#opening = `data: ${JSON.stringify(common).slice(0, -1)},"choices":[{"index":0,`;
  }

  text(piece: string): boolean {
    const text = JSON.stringify(piece);
    const first = this.#begun ? "" : '"role":"assistant",';
    return this.#write(
      this.#isChat ? `"delta":{${first}"content":${text}},"finish_reason":null` : `"text":${text},"finish_reason":null`,
    );
  }

  end(): void {
    const last = this.#isChat ? '"delta":{},"finish_reason":"stop"' : '"text":"","finish_reason":"stop"';
    this.#head();
    this.#sink.end(Buffer.from(`${this.#opening}${last}}]}\n\n${DONE}`));
  }

  #write(choice: string): boolean {
    this.#head();
    this.#begun = true;
    return this.#sink.chunk(Buffer.from(`${this.#opening}${choice}}]}\n\n`));
  }

  #head(): void {
    if (this.#sink.status === null) this.#sink.head(200, [...SSE, ...this.#headers]);
  }
}

class WholeWriter implements AnswerWriter {
  readonly #options: WriterOptions;
  #text = "";

  constructor(options: WriterOptions) {
    this.#options = options;
  }

  text(piece: string): boolean {
    this.#text += piece;
    return true;
  }

  end(): void {
    const { call, sink, model, headers } = this.#options;
    const isChat = call.operation === "chat";
    const choice = isChat ? { message: { role: "assistant", content: this.#text } } : { text: this.#text };
    const answer = {
      id: idOf(call),
      object: isChat ? "chat.completion" : "text_completion",
      created: createdS(),
      model,
      choices: [{ index: 0, ...choice, finish_reason: "stop" }],
    };
    const bytes = Buffer.from(JSON.stringify(answer));
    sink.head(200, ["Content-Type", "application/json", ...headers], bytes.length);
    sink.end(bytes);
  }
}

const idOf = ({ id, operation }: InferenceCall): string => `${operation === "chat" ? "chatcmpl" : "cmpl"}-${id}`;
