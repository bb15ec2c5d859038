import type { IncomingHttpHeaders } from "node:http";
import type { AnswerSink } from "../../core/inference.ts";
import type { AnswerFacts } from "../../core/upstream.ts";
import { AUDIO, type Receiver, receiverFor, SSE_HEADERS, type Verdict } from "../answer/receivers.ts";
import { SOUND_TYPES } from "../answer/sound.ts";
import { readFacts, Tail } from "../answer/tail.ts";
import { type Asked, brokenOff, errorAnswer, errorInside, malformed } from "./failure.ts";

/** The destination of a provider's answer, and what it answers. */
export interface ProviderTarget extends Asked {
  readonly sink: AnswerSink;
  /** Headers of the answer, except those of its content. */
  readonly headers: readonly string[];
  readonly streamed: boolean;
}

export interface ProviderReceiver extends Receiver {
  /** Nothing more will arrive, although the connection is still open. */
  readonly isComplete?: boolean;
}

/**
 * Throws `provider_error` for an unexpected content type: not JSON, an event stream or the requested audio, or one
 * instead of the other.
 */
export function providerReceiver(
  status: number,
  headers: IncomingHttpHeaders,
  target: ProviderTarget,
): ProviderReceiver {
  if (status < 200 || status >= 300) return new ErrorAnswer(status, headers, target);
  const { "content-type": contentType = "", "content-encoding": encoding = "identity" } = headers;
  if (encoding !== "identity")
    throw malformed(target, `compresses its answer (${encoding.slice(0, 40)}) although it was asked not to`);
  const isStream = contentType.startsWith("text/event-stream");
  const isJson = /^application\/(?:[\w.-]+\+)?json\b/.test(contentType);
  if (isStream && target.streamed) return new EventRelay(target);
  const { sink, headers: more, model, operation } = target;
  const isSound = operation !== null && AUDIO.has(operation) && SOUND_TYPES.test(contentType);
  if (isSound && !isStream && !isJson)
    return receiverFor(
      { status: 200, contentType, framing: { type: "until-close" } },
      { sink, headers: more, model: model ?? "", operation },
    );
  // An error of a stream may arrive as JSON; the receiver handles anything else.
  if (isJson) return new WholeAnswer(target);
  const expected = target.streamed ? "an event stream" : "JSON";
  throw malformed(target, `answered with ${typeText(contentType)} instead of ${expected}`);
}

const typeText = (contentType: string): string =>
  contentType === ""
    ? "no content type"
    : /^text\/html\b/.test(contentType)
      ? "an HTML page"
      : `the content type ${JSON.stringify(contentType.slice(0, 60))}`;

const MAX_EVENT_BYTES = 4 * 1024 * 1024;
const NOTHING: Buffer = Buffer.alloc(0);
const verdict = (flowing: boolean): Verdict => (flowing ? "more" : "pause");

/** Passes complete events on unchanged. The client never receives half an event, so an error can always follow. */
class EventRelay implements ProviderReceiver {
  readonly #target: ProviderTarget;
  readonly #tail = new Tail();
  /** The beginning of an event whose end has not arrived. */
  #half = NOTHING;
  begun = false;
  isComplete = false;

  constructor(target: ProviderTarget) {
    this.#target = target;
  }

  body(bytes: Buffer): Verdict {
    const seen = this.#half.length === 0 ? bytes : Buffer.concat([this.#half, bytes]);
    const end = eventsEnd(seen);
    this.#half = seen.subarray(end);
    if (this.#half.length > MAX_EVENT_BYTES)
      throw malformed(this.#target, `sent an event of more than ${MAX_EVENT_BYTES / 2 ** 20} MiB`);
    return end === 0 ? "more" : this.#relay(seen.subarray(0, end));
  }

  closed(): void {
    if (this.isComplete) return;
    if (this.#half.toString("latin1").trim() !== "")
      throw malformed(this.#target, "ended in the middle of an event", AGAIN);
    if (!this.begun) throw malformed(this.#target, "ended its stream without an answer", AGAIN);
    // Not all of them send [DONE].
    if (this.facts().finishReason === null) throw brokenOff(this.#target.provider);
    this.isComplete = true;
    this.#target.sink.end();
  }

  facts(): AnswerFacts {
    return readFacts(this.#tail.bytes());
  }

  betweenEvents(): boolean {
    return true;
  }

  dispose(): void {
    this.#tail.release();
  }

  #relay(events: Buffer): Verdict {
    const { sink, headers } = this.#target;
    this.#check(events);
    sink.head(200, ["Content-Type", "text/event-stream", ...SSE_HEADERS, ...headers]);
    this.#tail.push(events);
    const flowing = sink.chunk(events);
    if (!DONE.test(events.toString("latin1", Math.max(0, events.length - 64)))) return verdict(flowing);
    this.isComplete = true;
    sink.end();
    return "done";
  }

  /** The first event shows whether this is an answer at all; later ones are checked if they may contain an error. */
  #check(events: Buffer): void {
    if (this.begun && !events.includes('"error"')) return;
    for (const [, data = ""] of events.toString("utf8").matchAll(/^data: ?(.*)$/gm)) {
      if (data.trimEnd() === "[DONE]") continue;
      const event = parsedEvent(data);
      if (event === undefined) throw malformed(this.#target, "sent an event that is not JSON");
      if (isError(event)) throw errorInside(event, this.#target);
      this.begun = true;
    }
  }
}

const AGAIN = "Send the request again; if it happens often, check the provider's status page.";
const DONE = /(?:^|\n)data: ?\[DONE\]\s*$/;

/** After the last empty line. */
function eventsEnd(bytes: Buffer): number {
  const lf = bytes.lastIndexOf("\n\n");
  const crlf = bytes.lastIndexOf("\r\n\r\n");
  return Math.max(lf < 0 ? 0 : lf + 2, crlf < 0 ? 0 : crlf + 4);
}

function parsedEvent(data: string): unknown {
  try {
    return JSON.parse(data);
  } catch {
    return undefined;
  }
}

const isError = (answer: unknown): boolean =>
  typeof answer === "object" &&
  answer !== null &&
  "error" in answer &&
  Boolean(answer.error) &&
  !("choices" in answer && Array.isArray(answer.choices) && answer.choices.length > 0);

/** An answer in one piece is held until it is complete, so that an invalid one can still become an error. */
const MAX_HELD_BYTES = 4 * 1024 * 1024;

class WholeAnswer implements ProviderReceiver {
  readonly #target: ProviderTarget;
  readonly #tail = new Tail();
  #held: Buffer[] = [];
  #heldBytes = 0;
  #opening = NOTHING;
  begun = false;
  isComplete = false;

  constructor(target: ProviderTarget) {
    this.#target = target;
  }

  body(bytes: Buffer): Verdict {
    this.#tail.push(bytes);
    if (this.#opening.length < 1024) this.#opening = Buffer.concat([this.#opening, bytes]).subarray(0, 1024);
    if (this.begun) return verdict(this.#target.sink.chunk(bytes));
    this.#held.push(bytes);
    this.#heldBytes += bytes.length;
    if (this.#heldBytes <= MAX_HELD_BYTES) return "more";
    // Many vectors: no error is that long.
    if (!/^\s*\{/.test(this.#opening.toString("latin1")))
      throw malformed(this.#target, "sent something other than JSON");
    return verdict(this.#pass());
  }

  closed(): void {
    const { sink, headers, streamed } = this.#target;
    if (!this.begun) {
      const bytes = Buffer.concat(this.#held);
      const answer = parsedEvent(bytes.toString("utf8"));
      if (typeof answer !== "object" || answer === null)
        throw malformed(this.#target, "sent JSON that is not complete", AGAIN);
      if (isError(answer)) throw errorInside(answer, this.#target);
      if (streamed) throw malformed(this.#target, "answered with JSON instead of an event stream");
      this.begun = true;
      sink.head(200, ["Content-Type", "application/json", ...headers], bytes.length);
      sink.end(bytes);
    } else if (endOf(this.#tail.bytes()) === "}") sink.end();
    else throw brokenOff(this.#target.provider);
    this.isComplete = true;
  }

  facts(): AnswerFacts {
    const facts = readFacts(this.#tail.bytes());
    // Some providers report the usage of embeddings before the vectors.
    return facts.promptTokens === null ? readFacts(this.#opening) : facts;
  }

  betweenEvents(): boolean {
    return !this.begun;
  }

  dispose(): void {
    this.#tail.release();
    this.#held = [];
  }

  #pass(): boolean {
    const { sink, headers, streamed } = this.#target;
    if (streamed) throw malformed(this.#target, "answered with JSON instead of an event stream");
    this.begun = true;
    sink.head(200, ["Content-Type", "application/json", ...headers]);
    const flowing = sink.chunk(Buffer.concat(this.#held));
    this.#held = [];
    return flowing;
  }
}

const endOf = (bytes: Buffer): string =>
  bytes
    .toString("latin1", Math.max(0, bytes.length - 32))
    .trimEnd()
    .slice(-1);

const MAX_ERROR_BYTES = 256 * 1024;

/** Collects an error response and throws it as one of the catalogue. */
class ErrorAnswer implements ProviderReceiver {
  readonly #status: number;
  readonly #headers: IncomingHttpHeaders;
  readonly #asked: Asked;
  readonly begun = false;
  #bytes = NOTHING;

  constructor(status: number, headers: IncomingHttpHeaders, asked: Asked) {
    this.#status = status;
    this.#headers = headers;
    this.#asked = asked;
  }

  body(bytes: Buffer): Verdict {
    this.#bytes = Buffer.concat([this.#bytes, bytes]);
    if (this.#bytes.length > MAX_ERROR_BYTES) this.closed();
    return "more";
  }
  closed(): void {
    throw errorAnswer(this.#status, this.#headers, this.#bytes.toString("utf8"), this.#asked);
  }
  facts(): AnswerFacts {
    return readFacts(NOTHING);
  }
  betweenEvents(): boolean {
    return true;
  }
  dispose(): void {}
}
