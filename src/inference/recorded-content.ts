import { createParser, type EventSourceParser } from "eventsource-parser";
import type { AssistantError } from "../core/errors.ts";
import type { AnswerSink, InferenceCall, JsonObject, WireFormat } from "../core/inference.ts";

/** Of a prompt, and of an answer. */
const MAX_CHARACTERS = 65_536;
const RECORDED: ReadonlySet<WireFormat> = new Set(["openai.chat", "openai.completion"]);

interface Part {
  readonly type: string;
  readonly content?: string;
}
interface Message {
  readonly role: string;
  readonly parts: readonly Part[];
}

/** A call's prompt in the format of `gen_ai.input.messages`. Undefined: it does not consist of text. */
export function inputMessages({ wire, prompt: { messages, text } }: InferenceCall): string | undefined {
  if (!RECORDED.has(wire)) return undefined;
  if (typeof text === "string") return written([{ role: "user", parts: [{ type: "text", content: text }] }]);
  if (!Array.isArray(messages)) return undefined;
  return written(
    (messages as readonly JsonObject[]).map(({ role, content }) => ({ role: String(role), parts: partsOf(content) })),
  );
}

/** Parts other than text are named and omitted. */
const partsOf = (content: unknown): Part[] =>
  (Array.isArray(content) ? (content as readonly JsonObject[]) : [{ type: "text", text: content }]).map(
    ({ type, text }) => (typeof text === "string" ? { type: "text", content: text } : { type: String(type) }),
  );

/** Drops excess text from the beginning: the answer refers to the end of a conversation. */
function written(messages: readonly Message[]): string {
  let left = MAX_CHARACTERS;
  const kept: Message[] = [];
  for (const { role, parts } of messages.toReversed()) {
    if (left <= 0) break;
    const cut = parts.map((part) => {
      const content = part.content?.slice(0, Math.max(0, left));
      left -= content?.length ?? 0;
      return content === undefined ? part : { ...part, content };
    });
    kept.unshift({ role, parts: cut });
  }
  return JSON.stringify(kept);
}

interface Choice {
  readonly delta?: { readonly content?: unknown };
  readonly message?: { readonly content?: unknown };
  readonly text?: unknown;
}

/** Passes an answer on, and keeps the text of its first choice. */
export class RecordingSink implements AnswerSink {
  readonly takesFramed = false;
  readonly waiting?: NonNullable<AnswerSink["waiting"]>;
  readonly #sink: AnswerSink;
  readonly #decoder = new TextDecoder();
  readonly #events: EventSourceParser | null;
  #body = "";
  #text = "";

  constructor(sink: AnswerSink, { streamed }: Pick<InferenceCall, "streamed">) {
    this.#sink = sink;
    this.#events = streamed ? createParser({ onEvent: ({ data }) => this.#take(data) }) : null;
    if (sink.waiting !== undefined) this.waiting = sink.waiting.bind(sink);
  }

  /** In the format of `gen_ai.output.messages`; undefined: there was no text. */
  get outputMessages(): string | undefined {
    if (this.#events === null) this.#take(this.#body);
    if (this.#text === "") return undefined;
    return JSON.stringify([{ role: "assistant", parts: [{ type: "text", content: this.#text }] }]);
  }

  get status(): number | null {
    return this.#sink.status;
  }
  head(status: number, headers: readonly string[], length?: number): void {
    this.#sink.head(status, headers, length);
  }
  chunk(payload: Buffer): boolean {
    this.#read(payload);
    return this.#sink.chunk(payload);
  }
  framed(): boolean {
    throw new TypeError("this sink does not accept frames");
  }
  onDrain(callback: () => void): void {
    this.#sink.onDrain(callback);
  }
  end(last?: Buffer): void {
    if (last !== undefined) this.#read(last);
    this.#sink.end(last);
  }
  endFramed(): void {
    this.framed();
  }
  fail(error: AssistantError, headers: readonly string[], betweenEvents: boolean): void {
    this.#sink.fail(error, headers, betweenEvents);
  }
  abort(): void {
    this.#sink.abort();
  }

  #read(payload: Buffer): void {
    if (this.#text.length >= MAX_CHARACTERS || this.#body.length >= 2 * MAX_CHARACTERS) return;
    const text = this.#decoder.decode(payload, { stream: true });
    if (this.#events === null) this.#body += text;
    else this.#events.feed(text);
  }

  #take(json: string): void {
    const [choice] = choicesOf(json);
    const text = choice?.delta?.content ?? choice?.message?.content ?? choice?.text;
    if (typeof text === "string") this.#text = (this.#text + text).slice(0, MAX_CHARACTERS);
  }
}

/** None if it is not a valid answer, such as one that was cut off. */
function choicesOf(json: string): readonly Choice[] {
  try {
    return (JSON.parse(json) as { readonly choices?: readonly Choice[] }).choices ?? [];
  } catch {
    return [];
  }
}
