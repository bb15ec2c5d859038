import type { JsonObject } from "../../../core/inference.ts";
import { type Body, invalid, isObject, isString, mustBe, object, oneOf, shown, text } from "../../canonical/rules.ts";
import { blocksOf, type Part, shownParts, textOf, textPart, unknownBlock } from "./blocks.ts";
import { carried } from "./carried.ts";

const role = oneOf("user", "assistant", "system");

/** At the start of Claude Code's system prompt, different in each request; it would prevent any reuse of the cache. */
const BILLING_HEADER = /^x-anthropic-billing-header:(?:\s*\w+=[^;\s]*;?)*\s*/;

/** Messages in OpenAI's format, and their origin. */
export class Conversation {
  readonly messages: JsonObject[] = [];
  /** Paths of messages and their parts, and the client's own. */
  readonly names = new Map<string, string>();
  /** Where the client has documents other than text. */
  readonly files: string[] = [];

  /** Throws `invalid_request` naming the first wrong part. */
  constructor(system: unknown, messages: unknown) {
    this.#system(system);
    if (!Array.isArray(messages))
      throw invalid("messages", `The field "messages" must be an array of messages; found ${shown(messages)}.`);
    for (const [index, message] of messages.entries()) this.#message(message, `messages[${index}]`);
  }

  #system(system: unknown): void {
    if (system === undefined || system === null) return;
    const texts = blocksOf(system, "system").map((block, index) =>
      textOf(block, `system[${index}]`).replace(BILLING_HEADER, ""),
    );
    const said = texts.filter((each) => each !== "").join("\n\n");
    if (said !== "") this.#push({ role: "system", content: said }, "system");
  }

  #message(message: unknown, at: string): void {
    mustBe(object, message, at);
    const given = message as Body;
    mustBe(role, given.role, `${at}.role`);
    const blocks = blocksOf(given.content, `${at}.content`);
    if (given.role === "assistant") this.#assistant(blocks, at);
    else if (given.role === "user") this.#user(blocks, at);
    else {
      const said = blocks.map((block, index) => saidBySystem(block, `${at}.content[${index}]`));
      this.#push({ role: "system", content: said.join("\n\n") }, at);
    }
  }

  /** Tool results are separate messages, in the order of the blocks. */
  #user(blocks: readonly Body[], at: string): void {
    let parts: Part[] = [];
    let places: string[] = [];
    const flush = (): void => {
      if (parts.length > 0) this.#push({ role: "user", content: contentOf(parts) }, at, places);
      parts = [];
      places = [];
    };
    for (const [index, block] of blocks.entries()) {
      const here = `${at}.content[${index}]`;
      if (block.type === "tool_result") {
        flush();
        this.#toolResult(block, here);
        continue;
      }
      const made = this.#shown(block, here);
      parts.push(...made);
      places.push(...made.map(() => here));
    }
    flush();
    if (blocks.length === 0) this.#push({ role: "user", content: "" }, at);
  }

  #shown(block: Body, at: string): readonly Part[] {
    const parts = shownParts(block, at);
    if (parts.some(({ type }) => type === "file")) this.files.push(at);
    return parts;
  }

  #toolResult(block: Body, at: string): void {
    mustBe(text, block.tool_use_id, `${at}.tool_use_id`);
    const { content } = block;
    const inner = content === undefined || content === null ? [] : blocksOf(content, `${at}.content`);
    const parts: Part[] = block.is_error === true ? [textPart("Error:")] : [];
    const places = parts.map(() => at);
    for (const [index, each] of inner.entries()) {
      const here = `${at}.content[${index}]`;
      const made = this.#shown(each, here);
      parts.push(...made);
      places.push(...made.map(() => here));
    }
    // Chat templates support text results; parts are only used for images.
    const isText = parts.every(({ type }) => type === "text");
    const said = isText ? parts.map((part) => part["text"]).join("\n") : parts;
    this.#push({ role: "tool", tool_call_id: block.tool_use_id, content: said }, at, isText ? [] : places);
  }

  #assistant(blocks: readonly Body[], at: string): void {
    const texts: string[] = [];
    const thoughts: string[] = [];
    const signed: JsonObject[] = [];
    const extras = new Map<string, JsonObject>();
    const calls: JsonObject[] = [];
    for (const [index, block] of blocks.entries()) {
      const here = `${at}.content[${index}]`;
      switch (block.type) {
        case "text":
          texts.push(textOf(block, here));
          break;
        case "thinking": {
          mustBe(text, block.thinking, `${here}.thinking`);
          thoughts.push(block.thinking as string);
          const { thinking, signature } = block;
          if (isString(signature) && signature !== "") signed.push({ thinking, signature });
          break;
        }
        case "redacted_thinking": {
          mustBe(text, block.data, `${here}.data`);
          const ours = carried(block.data as string);
          if (ours === null) signed.push({ redacted: block.data });
          else extras.set(ours.id, ours.extra);
          break;
        }
        case "tool_use": {
          const call = toolCall(block, here);
          const extra =
            extras.get(block.id as string) ??
            (signed.length > 0 ? { anthropic: { thinking: signed.splice(0) } } : null);
          calls.push(extra === null ? call : { ...call, extra_content: extra });
          break;
        }
        default:
          throw unknownBlock(block.type, here);
      }
    }
    this.#push(
      {
        role: "assistant",
        ...(texts.length > 0 || calls.length === 0 ? { content: texts.join("") } : {}),
        ...(thoughts.length > 0 ? { reasoning_content: thoughts.join("\n") } : {}),
        ...(calls.length > 0 ? { tool_calls: calls } : {}),
      },
      at,
    );
  }

  /** `places`: the client's field for each part. */
  #push(message: JsonObject, at: string, places: readonly string[] = []): void {
    const path = `messages[${this.messages.length}]`;
    this.messages.push(message);
    this.names.set(path, at);
    for (const [part, place] of places.entries()) this.names.set(`${path}.content[${part}]`, place);
  }
}

/** Declared tools are offered from the beginning; changes are announced in text. */
function saidBySystem(block: Body, at: string): string {
  if (block.type !== "tool_addition" && block.type !== "tool_removal") return textOf(block, at);
  const { tool } = block;
  if (!isObject(tool) || !isString(tool.name))
    throw invalid(`${at}.tool`, `"${at}.tool" must refer to one of the tools by its name; found ${shown(tool)}.`);
  const change = block.type === "tool_addition" ? "can be called from now on" : "can no longer be called";
  return `The tool "${tool.name}" ${change}.`;
}

/** A single text as a string: not every chat template supports parts. */
const contentOf = (parts: readonly Part[]): unknown => {
  const [only] = parts;
  return parts.length === 1 && only?.["type"] === "text" ? only["text"] : parts;
};

function toolCall(block: Body, at: string): JsonObject {
  mustBe(text, block.id, `${at}.id`);
  mustBe(text, block.name, `${at}.name`);
  if (!isObject(block.input))
    throw invalid(`${at}.input`, `"${at}.input" must be an object; found ${shown(block.input)}.`);
  return { id: block.id, type: "function", function: { name: block.name, arguments: JSON.stringify(block.input) } };
}
