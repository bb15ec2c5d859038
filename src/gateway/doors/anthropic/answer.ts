import type { AssistantError } from "../../../core/errors.ts";
import type { JsonObject } from "../../../core/inference.ts";
import { renamedError } from "../../canonical/renamed.ts";
import { isObject, isString } from "../../canonical/rules.ts";
import { type ContentFrame, onlyContentOf } from "../../front/splicer.ts";
import type { AnswerTranslator } from "../../front/translated-sink.ts";
import { carry } from "./carried.ts";
import type { Chunk, ToolCall } from "./chunk.ts";
import { Ending } from "./ending.ts";
import type { Translated } from "./request.ts";

const event = (data: { readonly type: string } & JsonObject): string =>
  `event: ${data.type}\ndata: ${JSON.stringify(data)}\n\n`;
const PING = event({ type: "ping" });

/** The type of a block: blocks follow each other, and each is ended before the next begins. */
type Source = "thinking" | "text" | number;

/** Translates an answer of OpenAI's chat API into an Anthropic message. */
export class MessageTranslator implements AnswerTranslator {
  readonly streamType = "text/event-stream; charset=utf-8";
  readonly #asked: Translated;
  readonly #ending: Ending;
  #started = false;
  #open: Source | null = null;
  #blocks = 0;

  constructor(asked: Translated) {
    this.#asked = asked;
    this.#ending = new Ending(asked.json["max_tokens"]);
  }

  chunk(chunk: JsonObject): string {
    const { choices, prompt_progress: progress } = chunk as Chunk;
    this.#ending.see(chunk as Chunk);
    let out = this.#started ? (progress === undefined ? "" : PING) : this.#start(chunk as Chunk);
    const said = choices?.[0]?.delta;
    if (said?.reasoning_content) out += this.#think(said.reasoning_content);
    if (said?.content) out += this.#delta("text", { type: "text_delta", text: said.content });
    for (const call of said?.tool_calls ?? []) out += this.#call(call);
    return out;
  }

  likewise(chunk: JsonObject): ContentFrame | null {
    if (this.#open !== "text" || onlyContentOf(chunk) === null) return null;
    const parts = this.#delta("text", { type: "text_delta", text: "?" }).split("?");
    const [before, after] = parts.map((part) => Buffer.from(part)) as [Buffer, Buffer];
    return { before: () => before, after };
  }

  end(): string {
    const start = this.#started ? "" : this.#start({});
    return (
      start +
      this.#close() +
      event({ type: "message_delta", delta: { ...NO_DETAILS, ...this.#ending.delta }, usage: this.#ending.usage }) +
      event({ type: "message_stop" })
    );
  }

  whole(answer: JsonObject): JsonObject {
    const { choices } = answer as Chunk;
    this.#ending.see(answer as Chunk);
    const said = choices?.[0]?.message;
    const content: JsonObject[] = [];
    const thought = said?.reasoning_content ?? "";
    if (thought !== "") content.push({ ...EMPTY.thinking, thinking: this.#asked.hidesThinking ? "" : thought });
    const text = said?.content ?? "";
    if (text !== "") content.push({ type: "text", text, citations: null });
    for (const call of said?.tool_calls ?? []) {
      if (isObject(call.extra_content))
        content.push({ type: "redacted_thinking", data: carry(call.id ?? "", call.extra_content) });
      content.push({ ...toolUse(call), input: inputOf(call.function?.arguments) });
    }
    return this.#message(answer as Chunk, content, this.#ending.delta, this.#ending.messageUsage);
  }

  failure(error: AssistantError): AssistantError {
    return renamedError(error, this.#asked.names);
  }

  #start(chunk: Chunk): string {
    this.#started = true;
    const message = this.#message(chunk, [], UNENDED, this.#ending.messageUsage);
    return event({ type: "message_start", message });
  }

  #message({ id, model }: Chunk, content: readonly JsonObject[], ending: JsonObject, usage: JsonObject): JsonObject {
    return {
      id: `msg_${isString(id) ? id.replace(/^chatcmpl-/, "") : ""}`,
      type: "message",
      role: "assistant",
      model: isString(model) ? model : (this.#asked.json["model"] ?? ""),
      content,
      diagnostics: null,
      ...NO_DETAILS,
      ...ending,
      usage,
    };
  }

  #call(call: ToolCall): string {
    const index = call.index ?? 0;
    let out = "";
    if (this.#open !== index) {
      if (isObject(call.extra_content)) {
        const data = carry(call.id ?? "", call.extra_content);
        out += this.#close() + this.#begin("text", { type: "redacted_thinking", data }) + this.#close();
      }
      out += this.#close() + this.#begin(index, { ...toolUse(call), input: {} });
    }
    const written = call.function?.arguments ?? "";
    const json = isString(written) ? written : JSON.stringify(written);
    return json === "" ? out : out + this.#delta(index, { type: "input_json_delta", partial_json: json });
  }

  #think(thought: string): string {
    if (!this.#asked.hidesThinking) return this.#delta("thinking", { type: "thinking_delta", thinking: thought });
    return this.#open === "thinking" ? "" : this.#close() + this.#begin("thinking", EMPTY.thinking);
  }

  #delta(source: Source, delta: JsonObject): string {
    const opening =
      this.#open === source ? "" : this.#close() + this.#begin(source, EMPTY[source as "text" | "thinking"]);
    return `${opening}event: content_block_delta\ndata: ${JSON.stringify({ type: "content_block_delta", index: this.#blocks - 1, delta })}\n\n`;
  }

  #begin(source: Source, block: JsonObject): string {
    this.#open = source;
    const index = this.#blocks++;
    const opening = event({ type: "content_block_start", index, content_block: block });
    return index === 0 ? opening + PING : opening;
  }

  #close(): string {
    if (this.#open === null) return "";
    const signature = { type: "signature_delta", signature: "" };
    const signed = this.#open === "thinking" ? this.#delta("thinking", signature) : "";
    this.#open = null;
    return signed + event({ type: "content_block_stop", index: this.#blocks - 1 });
  }
}

/** The response with the number of tokens of a prompt. */
export class CountTranslator implements AnswerTranslator {
  readonly streamType = "application/json";
  readonly #asked: Translated;

  constructor(asked: Translated) {
    this.#asked = asked;
  }

  chunk(): string {
    return "";
  }
  end(): string {
    return "";
  }
  whole({ input_tokens: count }: JsonObject): JsonObject {
    return { input_tokens: count };
  }
  failure(error: AssistantError): AssistantError {
    return renamedError(error, this.#asked.names);
  }
}

/** For built-in tools and refusals, which do not occur here. */
const NO_DETAILS = { container: null, stop_details: null };
const UNENDED = { stop_reason: null, stop_sequence: null };
const EMPTY = {
  text: { type: "text", text: "", citations: null },
  thinking: { type: "thinking", thinking: "", signature: "" },
};

const toolUse = ({ id, function: called }: ToolCall): JsonObject => ({
  type: "tool_use",
  id: id ?? "",
  name: called?.name ?? "",
  caller: { type: "direct" },
});

/** Arguments cut off by the token limit are not JSON. */
function inputOf(written: unknown): unknown {
  if (!isString(written)) return written ?? {};
  try {
    return written === "" ? {} : JSON.parse(written);
  } catch {
    return {};
  }
}
