import type { JsonObject } from "../../../core/inference.ts";
import { type Body, invalid, isObject, isString, mustBe, object, oneOf, shown, text } from "../../canonical/rules.ts";
import { unsupported } from "./errors.ts";

/** A part of a message's content in OpenAI's format. */
export type Part = JsonObject;

export const textPart = (said: string): Part => ({ type: "text", text: said });

/** The blocks of a content that is a string or a list of blocks. Throws `invalid_request`. */
export function blocksOf(content: unknown, at: string): readonly Body[] {
  if (isString(content)) return [{ type: "text", text: content }];
  if (Array.isArray(content)) {
    for (const [index, block] of content.entries()) mustBe(object, block, `${at}[${index}]`);
    return content as readonly Body[];
  }
  throw invalid(at, `"${at}" must be a string or an array of content blocks; found ${shown(content)}.`);
}

/** The text of a block that may contain nothing else. */
export function textOf(block: Body, at: string): string {
  mustBe(oneOf("text"), block.type, `${at}.type`);
  mustBe(text, block.text, `${at}.text`);
  return block.text as string;
}

/** The content of user messages: text, images, documents and search results. Throws `invalid_request`. */
export function shownParts(block: Body, at: string): readonly Part[] {
  switch (block.type) {
    case "text":
      return [textPart(textOf(block, at))];
    case "image":
      return [imagePart(sourceOf(block, at), `${at}.source`)];
    case "document":
      return documentParts(block, at);
    case "search_result":
      return searchResultParts(block, at);
    case "tool_reference":
      mustBe(text, block.tool_name, `${at}.tool_name`);
      return [textPart(`The tool "${block.tool_name as string}" can be called.`)];
    default:
      throw unknownBlock(block.type, at);
  }
}

export function unknownBlock(type: unknown, at: string): Error {
  const isServers = isString(type) && /^(?:server_tool_use|container_upload|\w+_tool_result)$/.test(type);
  if (!isServers)
    return invalid(`${at}.type`, `"${at}.type" is ${shown(type)}, which is no content block that is known here.`);
  return unsupported(
    `${at}.type`,
    `"${at}" is a block of the type "${type}", which belongs to a tool that Anthropic's servers run.`,
    "Omit it from the conversation.",
  );
}

function sourceOf(block: Body, at: string): Body {
  mustBe(object, block.source, `${at}.source`);
  const source = block.source as Body;
  if (source.type !== "file") return source;
  throw unsupported(
    `${at}.source.type`,
    `"${at}.source" is a file of Anthropic's Files API, which is not available.`,
    "Send the data itself, as base64 or text.",
  );
}

function imagePart(source: Body, at: string): Part {
  mustBe(oneOf("base64", "url"), source.type, `${at}.type`);
  return { type: "image_url", image_url: { url: source.type === "url" ? addressOf(source, at) : dataUrl(source, at) } };
}

function addressOf(source: Body, at: string): string {
  mustBe(text, source.url, `${at}.url`);
  return source.url as string;
}

function dataUrl(source: Body, at: string): string {
  mustBe(text, source.media_type, `${at}.media_type`);
  mustBe(text, source.data, `${at}.data`);
  return `data:${source.media_type as string};base64,${source.data as string}`;
}

function documentParts(block: Body, at: string): readonly Part[] {
  refuseCitations(block, at);
  const source = sourceOf(block, at);
  const titles = [block.title, block.context]
    .filter((said) => isString(said) && said !== "")
    .map((said) => textPart(said as string));
  switch (source.type) {
    case "text":
      mustBe(text, source.data, `${at}.source.data`);
      return [...titles, textPart(source.data as string)];
    case "content":
      return [
        ...titles,
        ...blocksOf(source.content, `${at}.source.content`).flatMap((inner, index) =>
          shownParts(inner, `${at}.source.content[${index}]`),
        ),
      ];
    case "base64":
      return [...titles, { type: "file", file: { file_data: dataUrl(source, `${at}.source`) } }];
    case "url":
      return [...titles, { type: "file", file: { url: addressOf(source, `${at}.source`) } }];
    default:
      mustBe(oneOf("text", "content", "base64", "url"), source.type, `${at}.source.type`);
      return [];
  }
}

function searchResultParts(block: Body, at: string): readonly Part[] {
  refuseCitations(block, at);
  mustBe(text, block.source, `${at}.source`);
  mustBe(text, block.title, `${at}.title`);
  const said = blocksOf(block.content, `${at}.content`).map((inner, index) =>
    textPart(textOf(inner, `${at}.content[${index}]`)),
  );
  return [textPart(`${block.title as string}\n${block.source as string}`), ...said];
}

function refuseCitations({ citations }: Body, at: string): void {
  if (!isObject(citations) || citations.enabled !== true) return;
  throw unsupported(`${at}.citations`, "Citations are not supported.", "Leave `citations` out.");
}
