import { createParser, type EventSourceParser } from "eventsource-parser";
import type { AssistantError } from "../../core/errors.ts";
import type { AnswerSink, JsonObject } from "../../core/inference.ts";
import type { Waiting } from "../../core/request.ts";
import { GatheredSink } from "../../inference/gathered-sink.ts";
import { engineErrorOf } from "../../upstreams/answer/engine-error.ts";
import { type ContentFrame, Splicer } from "./splicer.ts";

/** Writes one answer in OpenAI's format as an answer of another dialect. One is created for each request. */
export interface AnswerTranslator {
  /** Content type of a streamed answer. Comments about a long wait are only sent in event streams. */
  readonly streamType: string;
  /** False: its stream does not consist of events, and has no comments. */
  readonly comments?: false;
  /** The answer begins. `headers`: those of its head, name, value, … */
  head?(headers: readonly string[]): void;
  /** The translation of one object of the stream; "": nothing. The last may have no choice, only usage. */
  chunk(chunk: JsonObject): string;
  /**
   * Writes chunks that differ from this one, which `chunk` has just written, only in a non-empty content: byte for byte
   * what `chunk` would return. Null: `chunk` must see them. Missing: always.
   */
  likewise?(chunk: JsonObject): ContentFrame | null;
  /** What follows the last chunk of a stream; "": nothing. */
  end(): string;
  /** The translation of an answer that is not streamed. */
  whole(answer: JsonObject): JsonObject | RawAnswer;
  /** Renames an error about a field of OpenAI's format to the client's own field. Missing: the names are the same. */
  failure?(error: AssistantError): AssistantError;
}

/** An answer that is not only JSON. */
export class RawAnswer {
  readonly bytes: Buffer;
  /** Headers of its content: name, value, … */
  readonly headers: readonly string[];

  constructor(bytes: Buffer, headers: readonly string[]) {
    this.bytes = bytes;
    this.headers = headers;
  }
}

/** A sink for an answer in OpenAI's format, which `client` receives in another. */
export const translatedSink = (client: AnswerSink, streamed: boolean, translator: AnswerTranslator): AnswerSink =>
  streamed ? new StreamSink(client, translator) : new WholeSink(client, translator);

const NOTHING = Buffer.alloc(0);
const MORE = { stream: true };
const LF = 0x0a;
const EVENT_STREAM = "text/event-stream";
/** About the content as the target sent it. */
const OF_CONTENT: ReadonlySet<string> = new Set(["content-type", "content-length"]);

/** Every event is passed on as soon as it is complete, so what the client has always ends between two. */
class StreamSink implements AnswerSink {
  readonly takesFramed = false;
  readonly #client: AnswerSink;
  readonly #translator: AnswerTranslator;
  readonly waiting?: NonNullable<AnswerSink["waiting"]>;
  readonly #decoder = new TextDecoder();
  readonly #parser: EventSourceParser;
  readonly #splicer = new Splicer();
  /** The data so far ends between two events, and not within a character. */
  #isBetween = true;
  #out = "";
  #model = "";
  /** An engine that fails within its answer reports it in an event, and ends the stream normally. */
  #failure: AssistantError | null = null;

  constructor(client: AnswerSink, translator: AnswerTranslator) {
    this.#client = client;
    this.#translator = translator;
    this.#parser = createParser({
      onEvent: ({ data }) => {
        if (data === "[DONE]" || this.#failure !== null) return;
        const chunk = JSON.parse(data) as JsonObject;
        if (isFailure(chunk)) {
          this.#splicer.forget();
          this.#failure = engineErrorOf(codeOf(chunk), chunk, { model: this.#model, operation: "chat" });
          return;
        }
        this.#out += translator.chunk(chunk);
        this.#splicer.learn(data, chunk, translator.likewise?.(chunk) ?? null);
      },
    });
    const { waiting } = client;
    if (waiting !== undefined && translator.comments !== false && translator.streamType.startsWith(EVENT_STREAM))
      this.waiting = (wait: Waiting, headers) => waiting.call(client, wait, headers);
  }

  get status(): number | null {
    return this.#client.status;
  }
  head(status: number, headers: readonly string[]): void {
    this.#translator.head?.(headers);
    this.#model = headers[headers.indexOf("x-assistant-model") + 1] ?? "";
    this.#client.head(status, ["Content-Type", this.#translator.streamType, ...withoutContent(headers)]);
  }
  chunk(payload: Buffer): boolean {
    const spliced = this.#isBetween ? this.#splicer.splice(payload) : null;
    if (spliced !== null) return this.#client.chunk(spliced);
    const text = this.#decoder.decode(payload, MORE);
    this.#parser.feed(text);
    this.#isBetween = text.endsWith("\n\n") && payload[payload.length - 1] === LF;
    const out = this.#taken();
    return out.length === 0 || this.#client.chunk(out);
  }
  end(last: Buffer = NOTHING): void {
    this.#parser.feed(this.#decoder.decode(last));
    if (this.#failure === null) this.#out += this.#translator.end();
    const out = this.#taken();
    if (this.#failure !== null) {
      if (out.length > 0) this.#client.chunk(out);
      this.fail(this.#failure, []);
    } else this.#client.end(out.length === 0 ? undefined : out);
  }
  framed(): boolean {
    throw new TypeError("this sink does not accept frames");
  }
  endFramed(): void {
    this.framed();
  }
  onDrain(callback: () => void): void {
    this.#client.onDrain(callback);
  }
  fail(error: AssistantError, headers: readonly string[]): void {
    this.#client.fail(this.#translator.failure?.(error) ?? error, headers, true);
  }
  abort(): void {
    this.#client.abort();
  }

  #taken(): Buffer {
    const out = this.#out === "" ? NOTHING : Buffer.from(this.#out);
    this.#out = "";
    return out;
  }
}

class WholeSink extends GatheredSink {
  readonly #client: AnswerSink;
  readonly #translator: AnswerTranslator;

  constructor(client: AnswerSink, translator: AnswerTranslator) {
    super();
    this.#client = client;
    this.#translator = translator;
  }

  get status(): number | null {
    return this.#client.status;
  }
  override head(status: number, headers: readonly string[]): void {
    this.#translator.head?.(headers);
    super.head(status, headers);
  }
  fail(error: AssistantError, headers: readonly string[], betweenEvents: boolean): void {
    this.#client.fail(this.#translator.failure?.(error) ?? error, headers, betweenEvents);
  }
  abort(): void {
    this.#client.abort();
  }

  protected whole(body: Buffer): void {
    const written = this.#translator.whole(JSON.parse(body.toString()) as JsonObject);
    const { bytes, headers } =
      written instanceof RawAnswer
        ? written
        : { bytes: Buffer.from(JSON.stringify(written)), headers: ["Content-Type", "application/json"] };
    this.#client.head(200, [...headers, ...withoutContent(this.headers)], bytes.length);
    this.#client.end(bytes);
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
