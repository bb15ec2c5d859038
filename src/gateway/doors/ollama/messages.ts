import type { JsonObject } from "../../../core/inference.ts";
import { type Body, invalid, isObject, isString, mustBe, object, shown, text } from "../../canonical/rules.ts";
import { isGiven } from "./fields.ts";

/** The first characters of an image's base64, which identify its type. */
const IMAGE_TYPES: readonly (readonly [start: string, type: string])[] = [
  ["iVBORw0KGgo", "image/png"],
  ["/9j/", "image/jpeg"],
  ["R0lGOD", "image/gif"],
  ["UklGR", "image/webp"],
  ["Qk", "image/bmp"],
];

/** Ollama's messages in OpenAI's format. Parts common to both are checked later. Throws `invalid_request`. */
export function chatMessages(messages: readonly unknown[]): readonly unknown[] {
  const calls = new OpenCalls();
  return messages.map((message, index) =>
    isObject(message) ? chatMessage(message, `messages[${index}]`, calls) : message,
  );
}

function chatMessage(message: Body, at: string, calls: OpenCalls): JsonObject {
  const role = isString(message.role) ? message.role.toLowerCase() : message.role;
  const content = contentOf(message.content ?? "", message.images, at);
  if (role === "tool") return { role, content, tool_call_id: calls.answered(message) };
  const { thinking, tool_calls: called } = message;
  return {
    role,
    content,
    ...(isGiven(thinking) && thinking !== "" ? { reasoning_content: thinking } : {}),
    ...(isGiven(called) ? { tool_calls: calls.opened(called, `${at}.tool_calls`) } : {}),
  };
}

/** A text, followed by images in base64. `at`: its path. */
export function contentOf(content: unknown, images: unknown, at: string): unknown {
  if (!isGiven(images) || (Array.isArray(images) && images.length === 0)) return content;
  const where = at === "" ? "images" : `${at}.images`;
  if (!Array.isArray(images))
    throw invalid(where, `"${where}" must be a list of images in base64; found ${shown(images)}.`);
  const parts = images.map((image, index) => ({
    type: "image_url",
    image_url: { url: imageUrl(image, `${where}[${index}]`) },
  }));
  return content === "" ? parts : [{ type: "text", text: content }, ...parts];
}

function imageUrl(image: unknown, at: string): string {
  mustBe(text, image, at);
  const data = (image as string).replace(/^data:[^,]{0,100};base64,/, "");
  if (!isBase64(data)) throw invalid(at, `"${at}" must be an image in base64, without an address in front.`);
  const type = IMAGE_TYPES.find(([start]) => data.startsWith(start))?.[1];
  if (type === undefined) throw invalid(at, `"${at}" must be an image in PNG, JPEG, GIF, WebP or BMP format.`);
  return `data:${type};base64,${data}`;
}

/** One pattern for all of it would keep a way back for each of millions of characters. */
function isBase64(text: string): boolean {
  const end = text.indexOf("=");
  return text !== "" && end !== 0 && !/[^A-Za-z0-9+/=]/.test(text) && (end < 0 || /^={1,2}$/.test(text.slice(end)));
}

interface OpenCall {
  readonly id: string;
  readonly name: unknown;
}

/**
 * Tool calls of a conversation. Ollama's have no ids, and results name the tool or nothing: a result belongs to the
 * oldest matching call.
 */
class OpenCalls {
  readonly #open: OpenCall[] = [];
  #count = 0;

  opened(calls: unknown, at: string): readonly unknown[] {
    if (!Array.isArray(calls)) throw invalid(at, `"${at}" must be a list of tool calls; found ${shown(calls)}.`);
    return calls.map((call: unknown, index) => {
      const here = `${at}[${index}]`;
      mustBe(object, call, here);
      const { id, function: called } = call as Body;
      mustBe(object, called, `${here}.function`);
      const { name, arguments: given = {} } = called as Body;
      mustBe(object, given, `${here}.function.arguments`);
      const known = { id: isString(id) && id !== "" ? id : this.#newId(), name };
      this.#open.push(known);
      return { id: known.id, type: "function", function: { name, arguments: JSON.stringify(given) } };
    });
  }

  answered({ tool_call_id: id, tool_name: name }: Body): string {
    const fits = [({ id: known }: OpenCall) => known === id, ({ name: known }: OpenCall) => known === name];
    const at = fits.map((each) => this.#open.findIndex(each)).find((index) => index >= 0) ?? 0;
    const [found] = this.#open.splice(at, 1);
    return isString(id) && id !== "" ? id : (found?.id ?? this.#newId());
  }

  #newId(): string {
    this.#count += 1;
    return `call_${this.#count}`;
  }
}
