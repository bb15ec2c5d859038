import { createParser, type EventSourceParser } from "eventsource-parser";
import { AssistantError } from "../core/errors.ts";
import type { AnswerSink } from "../core/inference.ts";
import { CallerGone } from "../core/upstream.ts";
import type { TaskUsage } from "./record.ts";

export interface TextAnswer {
  readonly text: string;
  readonly reasoning: string | null;
  readonly finishReason: string;
  readonly usage: TaskUsage;
  /** Name of the model that answered. */
  readonly model: string;
}

/** The parts of a chunk that are read; any may be missing. */
interface Chunk {
  readonly choices?: readonly {
    readonly delta?: { readonly content?: string | null; readonly reasoning_content?: string | null };
    readonly finish_reason?: string | null;
  }[];
  readonly usage?: { readonly prompt_tokens?: number; readonly completion_tokens?: number } | null;
}

/** Of text and reasoning: as much as a context of millions of tokens has. */
const MAX_CHARACTERS = 16 * 2 ** 20;

/** Collects a streamed chat answer in OpenAI's format. `onText` receives its text as it arrives. */
export class TextSink implements AnswerSink {
  readonly takesFramed = false;
  /** Rejects with the reason if there is none, or with `CallerGone`. */
  readonly answer: Promise<TextAnswer>;
  readonly #settle: { resolve(answer: TextAnswer): void; reject(error: Error): void };
  readonly #onText: (text: string) => void;
  readonly #decoder = new TextDecoder();
  readonly #parser: EventSourceParser;
  #status: number | null = null;
  #model = "";
  #text = "";
  #reasoning = "";
  #finishReason = "stop";
  #usage: TaskUsage = { promptTokens: null, completionTokens: null };

  constructor(onText: (text: string) => void) {
    this.#onText = onText;
    const { promise, resolve, reject } = Promise.withResolvers<TextAnswer>();
    this.answer = promise;
    this.#settle = { resolve, reject };
    // Its readers only start waiting after the call has ended.
    promise.catch(() => {});
    this.#parser = createParser({
      onEvent: ({ data }) => {
        if (data !== "[DONE]") this.#take(data);
      },
    });
  }

  get status(): number | null {
    return this.#status;
  }

  head(status: number, headers: readonly string[]): void {
    this.#status ??= status;
    const name = headers[headers.indexOf("x-assistant-model") + 1];
    if (headers.includes("x-assistant-model") && name !== undefined) this.#model = decodeURIComponent(name);
  }
  chunk(payload: Buffer): boolean {
    this.#parser.feed(this.#decoder.decode(payload, { stream: true }));
    return true;
  }
  framed(): boolean {
    throw new TypeError("this sink does not accept frames");
  }
  onDrain(callback: () => void): void {
    setImmediate(callback);
  }
  end(last?: Buffer): void {
    this.#parser.feed(this.#decoder.decode(last));
    this.#settle.resolve({
      text: this.#text,
      reasoning: this.#reasoning === "" ? null : this.#reasoning,
      finishReason: this.#finishReason,
      usage: this.#usage,
      model: this.#model,
    });
  }
  endFramed(): void {
    this.framed();
  }
  fail(error: AssistantError): void {
    this.#status ??= error.status;
    this.#settle.reject(error);
  }
  abort(): void {
    this.#settle.reject(new CallerGone());
  }

  /** Called by the upstream, which would take an exception for a broken connection. */
  #take(data: string): void {
    let chunk: Chunk;
    try {
      chunk = JSON.parse(data) as Chunk;
    } catch {
      this.#settle.reject(new AssistantError("engine_error", "The model's server sent an event that is not JSON."));
      return;
    }
    const { choices, usage } = chunk;
    const [choice] = choices ?? [];
    const { content, reasoning_content: reasoning } = choice?.delta ?? {};
    if (content) {
      this.#text += content;
      this.#onText(content);
    }
    if (reasoning) this.#reasoning += reasoning;
    if (this.#text.length + this.#reasoning.length > MAX_CHARACTERS)
      throw new AssistantError("engine_error", `The answer has more than ${MAX_CHARACTERS} characters.`, {
        remedy: "Set `max_tokens`.",
      });
    if (choice?.finish_reason) this.#finishReason = choice.finish_reason;
    if (usage)
      this.#usage = {
        promptTokens: usage.prompt_tokens ?? null,
        completionTokens: usage.completion_tokens ?? null,
      };
  }
}
