import { Template } from "@huggingface/jinja";
import type { LlamaModel, Token } from "node-llama-cpp";
import { invalid, unsupported } from "./errors.ts";
import { type Body, flagOf, isObject, nameOfType, objectOf, textOf } from "./fields.ts";
import { type ToolTemplate, toolsOf, toolTemplate, withCalls } from "./tools.ts";

/** The plainest template there is, for models that bring none. */
const CHATML =
  "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>\\n' " +
  "}}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}";

/** Turns requests into tokens exactly as llama-server does, so that both engines see the same prompt. */
export class Prompts {
  readonly #model: LlamaModel;
  readonly #template: Template;
  readonly templateText: string;
  /**
   * How its template writes calls of functions; null: it has no place for tools, or writes them in a way that is not
   * understood.
   */
  readonly tools: ToolTemplate | null;

  constructor(model: LlamaModel, chatTemplate: string) {
    this.#model = model;
    const own = model.fileInfo.metadata.tokenizer?.chat_template;
    this.templateText = chatTemplate === "" ? (own ?? CHATML) : CHATML;
    this.#template = templateOf(this.templateText);
    this.tools = toolTemplate(this.templateText, this.#template);
  }

  /** The text that the model sees for a chat request. */
  render(body: Body): string {
    const tools = toolsOf(body);
    const messages = messagesOf(body).map((message) => withCalls(message, this.tools?.wantsText ?? false));
    const effort = textOf(body, "reasoning_effort");
    // The template ends where the model's own words would start.
    const begun = continuesMessage(body) ? (messages.at(-1)?.content ?? "") : null;
    try {
      const text = this.#template.render({
        messages: begun === null ? messages : messages.slice(0, -1),
        add_generation_prompt: begun !== null || (flagOf(body, "add_generation_prompt") ?? true),
        bos_token: this.#model.tokens.bosString ?? "",
        eos_token: this.#model.tokens.eosString ?? "",
        ...(tools === null ? {} : { tools: tools.given }),
        ...(effort === null ? {} : effort === "none" ? { enable_thinking: false } : { reasoning_effort: effort }),
        ...objectOf(body, "chat_template_kwargs"),
      });
      return this.#withoutBos(text) + (begun ?? "");
    } catch (error) {
      throw invalid(
        `The chat template refuses these messages: ${error instanceof Error ? error.message : String(error)}`,
      );
    }
  }

  /** Text with marks of special tokens, as templates write them. */
  tokenize(text: string, addSpecial = true, parseSpecial = true): Token[] {
    const tokens = this.#model.tokenize(text, parseSpecial);
    if (!addSpecial) return tokens;
    const { bos, shouldPrependBosToken } = this.#model.tokens;
    if (shouldPrependBosToken && bos !== null) tokens.unshift(bos);
    const end = this.#endToken;
    if (end !== null) tokens.push(end);
    return tokens;
  }

  detokenize = (tokens: readonly Token[], preceding: readonly Token[] = []): string =>
    this.#model.detokenize(tokens, false, preceding);

  /**
   * The text of tokens of an answer in which calls are looked for: their marks are tokens that are not shown otherwise.
   */
  detokenizeMarks = (tokens: readonly Token[], preceding: readonly Token[] = []): string =>
    this.#model.detokenize(tokens, true, preceding);

  /** Throws where one of them is no token of the model: the library ends the process where it is given one. */
  checkTokens(tokens: readonly unknown[], field: string): Token[] {
    const size = this.#model.fileInfo.metadata.tokenizer?.ggml?.tokens?.length ?? 0;
    if (tokens.every((id) => Number.isInteger(id) && (id as number) >= 0 && (id as number) < size))
      return tokens as Token[];
    throw invalid(`Field '${field}': must hold token ids from 0 to ${size - 1}`);
  }

  /** Prompts of a completion request: one text, one list of token ids, or a list of either. */
  ofCompletion(body: Body): Token[][] {
    const prompt = body.prompt;
    const list: unknown[] = Array.isArray(prompt) && !isTokenList(prompt) ? prompt : [prompt];
    if (list.length === 0) throw invalid("Field 'prompt': must not be empty");
    return list.map((item) => {
      if (typeof item === "string") return this.tokenize(item);
      if (isTokenList(item)) return this.checkTokens(item, "prompt");
      throw invalid(
        prompt === undefined
          ? "'prompt' is required"
          : `Field 'prompt': must be a string, a list of token ids or a list of these, but has ${nameOfType(item)}`,
      );
    });
  }

  /** What llama.cpp ends a text with: most models have nothing. */
  get #endToken(): Token | null {
    const { sep, eos, shouldAppendEosToken } = this.#model.tokens;
    if (this.#model.vocabularyType === "wpm") return sep;
    return shouldAppendEosToken ? eos : null;
  }

  /** `tokenize` adds the BOS token itself; templates that write it too must not get it twice. */
  #withoutBos(text: string): string {
    const { bosString, shouldPrependBosToken } = this.#model.tokens;
    return shouldPrependBosToken && bosString && text.startsWith(bosString) ? text.slice(bosString.length) : text;
  }
}

function templateOf(text: string): Template {
  try {
    return new Template(text);
  } catch (error) {
    throw new Error(`chat template of the model: ${error instanceof Error ? error.message : String(error)}`);
  }
}

/** Whether the answer continues the last message, an assistant's, instead of beginning a new one. */
export function continuesMessage(body: Body): boolean {
  const last: unknown = Array.isArray(body.messages) ? body.messages.at(-1) : undefined;
  if (!isObject(last) || last.role !== "assistant" || flagOf(body, "add_generation_prompt") === true) return false;
  return !(Array.isArray(last.tool_calls) && last.tool_calls.length > 0);
}

const isTokenList = (value: unknown): value is number[] =>
  Array.isArray(value) && value.length > 0 && value.every((id) => Number.isInteger(id) && id >= 0);

interface Message {
  readonly role: string;
  readonly content: string;
  readonly [field: string]: unknown;
}

function messagesOf(body: Body): Message[] {
  const messages = body.messages;
  if (messages === undefined || messages === null) throw invalid("'messages' is required");
  if (!Array.isArray(messages)) throw invalid("Expected 'messages' to be an array");
  if (messages.length === 0) throw invalid("'messages' must not be empty");
  return messages.map((message: unknown, index) => {
    if (!isObject(message))
      throw invalid(`Field 'messages[${index}]': must be an object, but is ${nameOfType(message)}`);
    if (typeof message.role !== "string") throw invalid(`Field 'messages[${index}].role': must be a string`);
    // Templates do not know the newer word; llama-server reads it so too.
    const role = message.role === "developer" ? "system" : message.role;
    return { ...message, role, content: contentOf(message.content, role, index) };
  });
}

function contentOf(content: unknown, role: string, index: number): string {
  if (typeof content === "string") return content;
  if ((content === undefined || content === null) && role === "assistant") return "";
  if (!Array.isArray(content)) throw invalid("All non-assistant messages must contain 'content'");
  const texts = content.map((part: unknown) => {
    if (!isObject(part)) throw invalid(`Field 'messages[${index}].content': each part must be an object`);
    if (part.type !== "text") throw unsupported(`A content part of type ${JSON.stringify(part.type)}`);
    if (typeof part.text !== "string")
      throw invalid(`Field 'messages[${index}].content': each text part needs a 'text'`);
    return part.text;
  });
  return texts.join("\n");
}
