import { AssistantError } from "../core/errors.ts";
import type { AnswerSink, InferenceCall, JsonObject } from "../core/inference.ts";
import { GatheredSink } from "./gathered-sink.ts";

/**
 * Whether an answer may call at most one function (`parallel_tool_calls: false`). Targets ignore the field with some
 * chat templates, so further calls are removed from what they answer.
 */
export const wantsSingleCall = ({ wire, body: { json } }: InferenceCall): boolean =>
  wire === "openai.chat" && json["parallel_tool_calls"] === false && json["tools"] !== undefined;

/** A sink for an answer in OpenAI's chat format, of which `client` receives the first call of each choice. */
export const singleCallSink = (client: AnswerSink, streamed: boolean): AnswerSink =>
  streamed ? new StreamSink(client) : new WholeSink(client);

interface ToolCall {
  readonly index?: number;
  readonly id?: string | null;
}

interface Message {
  readonly tool_calls?: readonly ToolCall[] | null;
}

interface Choice {
  readonly index?: number;
  readonly delta?: Message | null;
  readonly message?: Message | null;
  readonly finish_reason?: string | null;
}

interface Answer extends JsonObject {
  readonly choices?: readonly Choice[];
}

const FIELD = '"tool_calls"';

class WholeSink extends GatheredSink {
  readonly #client: AnswerSink;

  constructor(client: AnswerSink) {
    super();
    this.#client = client;
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
    const bytes = body.includes(FIELD) ? shortened(body) : body;
    this.#client.head(200, this.headers, bytes.length);
    this.#client.end(bytes);
  }
}

function shortened(body: Buffer): Buffer {
  const answer = parsed(body.toString());
  let isCut = false;
  const choices = answer?.choices?.map((choice) => {
    const calls = choice.message?.tool_calls ?? [];
    if (calls.length <= 1) return choice;
    isCut = true;
    return { ...choice, message: { ...choice.message, tool_calls: calls.slice(0, 1) } };
  });
  return isCut ? Buffer.from(JSON.stringify({ ...answer, choices })) : body;
}

/** No event of a real answer is longer. */
const MAX_EVENT_BYTES = 16 * 2 ** 20;
const NOTHING = Buffer.alloc(0);

/** Passes complete events on; those without calls unchanged. */
class StreamSink implements AnswerSink {
  readonly takesFramed = false;
  readonly waiting?: NonNullable<AnswerSink["waiting"]>;
  readonly #client: AnswerSink;
  readonly #choices = new Map<number, FirstCall>();
  /** The beginning of an event. */
  #half: Buffer = NOTHING;

  constructor(client: AnswerSink) {
    this.#client = client;
    if (client.waiting !== undefined) this.waiting = client.waiting.bind(client);
  }

  get status(): number | null {
    return this.#client.status;
  }
  head(status: number, headers: readonly string[]): void {
    this.#client.head(status, headers);
  }
  chunk(payload: Buffer): boolean {
    const out = this.#take(payload);
    return out.length === 0 || this.#client.chunk(out);
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
  end(last: Buffer = NOTHING): void {
    const out = Buffer.concat([this.#take(last), this.#half]);
    this.#client.end(out.length === 0 ? undefined : out);
  }
  fail(error: AssistantError, headers: readonly string[]): void {
    this.#client.fail(error, headers, true);
  }
  abort(): void {
    this.#client.abort();
  }

  #take(payload: Buffer): Buffer {
    const seen = this.#half.length === 0 ? payload : Buffer.concat([this.#half, payload]);
    const end = eventsEnd(seen);
    this.#half = seen.subarray(end);
    if (this.#half.length > MAX_EVENT_BYTES)
      throw new AssistantError(
        "engine_error",
        `The answer has an event of more than ${MAX_EVENT_BYTES / 2 ** 20} MiB.`,
      );
    const events = seen.subarray(0, end);
    if (!events.includes(FIELD)) return events;
    return Buffer.from(
      events.toString().replaceAll(/^data:([^\r\n]*\r?\n\r?\n?)/gm, (line, data: string) => this.#event(line, data)),
    );
  }

  /** The line of an event with what is left of it; "": nothing. */
  #event(line: string, data: string): string {
    const answer = data.includes(FIELD) ? parsed(data) : null;
    if (answer?.choices === undefined) return line;
    const choices = answer.choices.map((choice) => this.#choice(choice));
    if (choices.every((choice, index) => choice === answer.choices?.[index])) return line;
    const left = choices.filter(hasContent);
    return left.length === 0 && !answer["usage"] ? "" : `data: ${JSON.stringify({ ...answer, choices: left })}\n\n`;
  }

  #choice(choice: Choice): Choice {
    const calls = choice.delta?.tool_calls ?? [];
    if (calls.length === 0) return choice;
    const index = choice.index ?? 0;
    const first = this.#choices.get(index) ?? new FirstCall();
    this.#choices.set(index, first);
    const kept = calls.filter((call) => first.has(call));
    if (kept.length === calls.length) return choice;
    const { tool_calls: _, ...rest } = choice.delta as Message;
    return { ...choice, delta: kept.length === 0 ? rest : { ...rest, tool_calls: kept } };
  }
}

/** Which parts of a choice's calls belong to its first one. Not every server numbers them. */
class FirstCall {
  #index: number | null = null;
  #id: string | null = null;
  /** The last part was one of the first call. */
  #isOpen = true;

  has({ index = 0, id }: ToolCall): boolean {
    this.#index ??= index;
    if (id) this.#id ??= id;
    if (index !== this.#index) return false;
    if (id) this.#isOpen = id === this.#id;
    return this.#isOpen;
  }
}

const hasContent = ({ delta, finish_reason: reason }: Choice): boolean =>
  Boolean(reason) || Object.values(delta ?? {}).some((value) => value !== null && value !== "");

/** After the last empty line. */
function eventsEnd(bytes: Buffer): number {
  const lf = bytes.lastIndexOf("\n\n");
  const crlf = bytes.lastIndexOf("\n\r\n");
  return Math.max(lf < 0 ? 0 : lf + 2, crlf < 0 ? 0 : crlf + 3);
}

function parsed(json: string): Answer | null {
  try {
    return JSON.parse(json) as Answer | null;
  } catch {
    return null;
  }
}
