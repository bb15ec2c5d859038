import { isUtf8 } from "node:buffer";
import type { JsonObject } from "../../core/inference.ts";

/** How to write chunks that differ only in their content: the bytes around it. */
export interface ContentFrame {
  /** What precedes the content of the next one. */
  before(): Buffer;
  readonly after: Buffer;
  /** Receives each content: a JSON string without its quotes. Missing: not needed. */
  seen?(json: string): void;
}

/** Events that differ in one content only. */
interface Template {
  /** The event before its content, and after it, including the quotes. */
  readonly before: Buffer;
  readonly after: Buffer;
  readonly frame: ContentFrame;
}

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const FIRST_PRINTABLE = 0x20;
const FIRST_OF_MORE = 0x80;
/** After a backslash, the characters that `JSON.stringify` escapes in short form. */
const SHORT_ESCAPES: ReadonlySet<number> = new Set(Buffer.from('"\\bfnrt'));
/** Unused templates before no more are created: the target writes each chunk differently. */
const MAX_UNUSED = 4;

/**
 * Most chunks of an answer differ only in their text, which is already JSON. Once one of them was parsed and
 * translated, similar ones are written by copying that text, which costs a tenth. Everything else is left to the
 * parser.
 */
export class Splicer {
  #template: Template | null = null;
  #unused = 0;

  /** The last parsed chunk, and how to write similar ones; null: not by copying. */
  learn(data: string, chunk: JsonObject, frame: ContentFrame | null): void {
    this.#template = null;
    if (frame === null || this.#unused >= MAX_UNUSED) return;
    const parts = partsAround(data, chunk);
    if (parts === null) return;
    const [before, after] = [Buffer.from(`data: ${parts.before}`), Buffer.from(`${parts.after}\n\n`)];
    this.#template = { before, after, frame };
    this.#unused += 1;
  }

  /** Another kind of chunk: the template may no longer be valid. */
  forget(): void {
    this.#template = null;
  }

  /** Writes complete events that all match the template; null: some do not. */
  splice(events: Buffer): Buffer | null {
    const template = this.#template;
    if (template === null) return null;
    const { before, after, frame } = template;
    const contents: number[] = [];
    for (let at = 0; at < events.length; ) {
      const start = at + before.length;
      if (start >= events.length || events.compare(before, 0, before.length, at, start) !== 0) return null;
      const end = endOfContent(events, start);
      at = end + after.length;
      if (end < 0 || at > events.length || events.compare(after, 0, after.length, end, at) !== 0) return null;
      contents.push(start, end);
    }
    if (contents.length === 0) return null;
    this.#unused = 0;
    const first = written(frame, events, contents[0] as number, contents[1] as number);
    if (contents.length === 2) return first;
    const all = [first];
    for (let at = 2; at < contents.length; at += 2)
      all.push(written(frame, events, contents[at] as number, contents[at + 1] as number));
    return Buffer.concat(all);
  }
}

function written(frame: ContentFrame, events: Buffer, start: number, end: number): Buffer {
  const before = frame.before();
  const { after } = frame;
  const out = Buffer.allocUnsafe(before.length + end - start + after.length);
  out.set(before);
  events.copy(out, before.length, start, end);
  out.set(after, out.length - after.length);
  frame.seen?.(events.toString("utf8", start, end));
  return out;
}

/** The end of a non-empty JSON string that is escaped like by `JSON.stringify`; negative: it is not one. */
function endOfContent(bytes: Buffer, start: number): number {
  let isAscii = true;
  for (let at = start; at < bytes.length; at++) {
    const code = bytes[at] as number;
    if (code === QUOTE) return at > start && (isAscii || isUtf8(bytes.subarray(start, at))) ? at : -1;
    if (code < FIRST_PRINTABLE) return -1;
    if (code >= FIRST_OF_MORE) isAscii = false;
    if (code !== BACKSLASH) continue;
    at += 1;
    if (!SHORT_ESCAPES.has(bytes[at] ?? 0)) return -1;
  }
  return -1;
}

/** The text of a chunk that contains only text; null: there is more in it. */
export function onlyContentOf({ choices, usage, error, prompt_progress, __verbose }: JsonObject): string | null {
  const besides = [usage, error, prompt_progress, __verbose];
  if (!Array.isArray(choices) || choices.length !== 1 || besides.some(isGiven)) return null;
  const { delta, index, finish_reason, logprobs, ...rest } = choices[0] as JsonObject;
  if (isGiven(finish_reason) || isGiven(logprobs) || Object.values(rest).some(isGiven)) return null;
  if (typeof delta !== "object" || delta === null) return null;
  const { content, ...others } = delta as JsonObject;
  const isAlone = typeof content === "string" && content !== "" && Object.keys(others).length === 0;
  return isAlone ? content : null;
}

const isGiven = (value: unknown): boolean => value !== undefined && value !== null;

/**
 * The JSON before and after the content of a chunk; null: unknown. That this text, and only this text, is the content
 * is tested, not assumed: the same words may occur elsewhere.
 */
function partsAround(data: string, chunk: JsonObject): { readonly before: string; readonly after: string } | null {
  const content = onlyContentOf(chunk);
  if (content === null || /[\r\n]/.test(data)) return null;
  const json = JSON.stringify(content);
  for (const name of ['"content":', '"content": ']) {
    const at = data.indexOf(name + json);
    if (at < 0) continue;
    const before = data.slice(0, at + name.length + 1);
    const after = data.slice(at + name.length + json.length - 1);
    const other = content === "a" ? "b" : "a";
    const tried = JSON.parse(before + other + after) as JsonObject;
    if (onlyContentOf(tried) !== other) continue;
    const [{ delta }] = tried["choices"] as [{ delta: { content: string } }];
    delta.content = content;
    if (JSON.stringify(tried) === JSON.stringify(chunk)) return { before, after };
  }
  return null;
}
