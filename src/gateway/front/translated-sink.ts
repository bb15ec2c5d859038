import { createParser, type EventSourceParser } from "eventsource-parser";
import type { AssistantError } from "../../core/errors.ts";
import type { AnswerSink, JsonObject } from "../../core/inference.ts";
import type { Waiting } from "../../core/request.ts";
import { engineErrorOf } from "../../upstreams/answer/engine-error.ts";

/** Writes one answer in OpenAI's format as an answer of another dialect. One is made for each request. */
export interface AnswerTranslator {
  /** Content type of a streamed answer. Comments about a long wait are sent in event streams alone. */
  readonly streamType: string;
  /** False: its event stream is not made of events, and takes no comments. */
  readonly comments?: false;
  /** The answer begins. `headers`: those of its head, name, value, … */
  head?(headers: readonly string[]): void;
  /** What one object of the stream becomes; "": nothing. The last may hold no choice, but the usage. */
  chunk(chunk: JsonObject): string;
  /** What follows the last chunk of a stream; "": nothing. */
  end(): string;
  /** What an answer becomes that is not streamed. */
  whole(answer: JsonObject): JsonObject | RawAnswer;
  /** An error about a field of OpenAI's format, as one about the client's own. Missing: they have the same names. */
  failure?(error: AssistantError): AssistantError;
}

/** An answer that is not JSON alone. */
export class RawAnswer {
  readonly bytes: Buffer;
  /** Of its content: name, value, … */
  readonly headers: readonly string[];

  constructor(bytes: Buffer, headers: readonly string[]) {
    this.bytes = bytes;
    this.headers = headers;
  }
}

/** A sink for an answer in OpenAI's format, which `client` gets in another. */
export const translatedSink = (client: AnswerSink, streamed: boolean, translator: AnswerTranslator): AnswerSink =>
  streamed ? new StreamSink(client, translator) : new WholeSink(client, translator);

const NOTHING = Buffer.alloc(0);
const EVENT_STREAM = "text/event-stream";
/** About the content as the target sent it. */
const OF_CONTENT: ReadonlySet<string> = new Set(["content-type", "content-length"]);

abstract class TranslatedSink implements AnswerSink {
  protected readonly client: AnswerSink;
  protected readonly translator: AnswerTranslator;
  readonly takesFramed = false;

  constructor(client: AnswerSink, translator: AnswerTranslator) {
    this.client = client;
    this.translator = translator;
  }

  get status(): number | null {
    return this.client.status;
  }
  abstract head(status: number, headers: readonly string[]): void;
  abstract chunk(payload: Buffer): boolean;
  abstract end(last?: Buffer): void;
  framed(): boolean {
    throw new TypeError("a sink that takes no frames was given one");
  }
  endFramed(): void {
    this.framed();
  }
  onDrain(callback: () => void): void {
    this.client.onDrain(callback);
  }
  fail(error: AssistantError, headers: readonly string[], betweenEvents: boolean): void {
    this.client.fail(this.translator.failure?.(error) ?? error, headers, betweenEvents);
  }
  abort(): void {
    this.client.abort();
  }
}

/** Every event is passed on as soon as it is whole, so that what the client has always ends between two. */
class StreamSink extends TranslatedSink {
  readonly waiting?: NonNullable<AnswerSink["waiting"]>;
  readonly #decoder = new TextDecoder();
  readonly #parser: EventSourceParser;
  #out = "";
  #model = "";
  /** An engine that fails within its answer sends an event that says so, and ends the stream in good order. */
  #failure: AssistantError | null = null;

  constructor(client: AnswerSink, translator: AnswerTranslator) {
    super(client, translator);
    this.#parser = createParser({
      onEvent: ({ data }) => {
        if (data === "[DONE]" || this.#failure !== null) return;
        const chunk = JSON.parse(data) as JsonObject;
        if (isFailure(chunk))
          this.#failure = engineErrorOf(codeOf(chunk), chunk, { model: this.#model, operation: "chat" });
        else this.#out += translator.chunk(chunk);
      },
    });
    const { waiting } = client;
    if (waiting !== undefined && translator.comments !== false && translator.streamType.startsWith(EVENT_STREAM))
      this.waiting = (wait: Waiting, headers) => waiting.call(client, wait, headers);
  }

  head(status: number, headers: readonly string[]): void {
    this.translator.head?.(headers);
    this.#model = headers[headers.indexOf("x-assistant-model") + 1] ?? "";
    this.client.head(status, ["Content-Type", this.translator.streamType, ...withoutContent(headers)]);
  }
  chunk(payload: Buffer): boolean {
    this.#parser.feed(this.#decoder.decode(payload, { stream: true }));
    const out = this.#taken();
    return out.length === 0 || this.client.chunk(out);
  }
  end(last: Buffer = NOTHING): void {
    this.#parser.feed(this.#decoder.decode(last));
    if (this.#failure === null) this.#out += this.translator.end();
    const out = this.#taken();
    if (this.#failure !== null) {
      if (out.length > 0) this.client.chunk(out);
      this.fail(this.#failure, []);
    } else this.client.end(out.length === 0 ? undefined : out);
  }
  override fail(error: AssistantError, headers: readonly string[]): void {
    super.fail(error, headers, true);
  }

  #taken(): Buffer {
    const out = this.#out === "" ? NOTHING : Buffer.from(this.#out);
    this.#out = "";
    return out;
  }
}

class WholeSink extends TranslatedSink {
  readonly #parts: Buffer[] = [];
  #headers: readonly string[] = [];

  head(_: number, headers: readonly string[]): void {
    this.translator.head?.(headers);
    this.#headers = headers;
  }
  chunk(payload: Buffer): boolean {
    this.#parts.push(payload);
    return true;
  }
  override onDrain(callback: () => void): void {
    setImmediate(callback);
  }
  end(last: Buffer = NOTHING): void {
    const answer = JSON.parse(Buffer.concat([...this.#parts, last]).toString()) as JsonObject;
    const written = this.translator.whole(answer);
    const { bytes, headers } =
      written instanceof RawAnswer
        ? written
        : { bytes: Buffer.from(JSON.stringify(written)), headers: ["Content-Type", "application/json"] };
    this.client.head(200, [...headers, ...withoutContent(this.#headers)], bytes.length);
    this.client.end(bytes);
  }
}

const isFailure = ({ error, choices }: JsonObject): boolean =>
  error !== undefined && error !== null && choices === undefined;

const codeOf = ({ error }: JsonObject): number => {
  const { code } = error as { readonly code?: unknown };
  return typeof code === "number" ? code : 500;
};

/** `headers`: name, value, … */
const withoutContent = (headers: readonly string[]): string[] =>
  headers.filter((_, index) => !OF_CONTENT.has((headers[index - (index % 2)] as string).toLowerCase()));
