import { AssistantError } from "../../core/errors.ts";
import type { AnswerHead, Framing } from "../answer/receivers.ts";

/** The relevant parts of an engine's response head. */
export interface EngineHead extends AnswerHead {
  /** The engine will leave the connection open. */
  readonly keepsOpen: boolean;
}

const MAX_HEAD_BYTES = 64 * 1024;
const HEAD_END = "\r\n\r\n";

/**
 * Parses a response head from the first bytes of a connection. Returns null while it is incomplete, otherwise the head
 * and where the body begins. Throws `engine_error` for anything that is not HTTP/1.x.
 */
export function parseHead(bytes: Buffer): { readonly head: EngineHead; readonly bodyStart: number } | null {
  let start = 0;
  for (;;) {
    const end = bytes.indexOf(HEAD_END, start, "latin1");
    if (end < 0) {
      if (bytes.length > MAX_HEAD_BYTES || !looksLikeHttp(bytes)) throw notHttp(bytes);
      return null;
    }
    const text = bytes.toString("latin1", start, end);
    const status = statusOf(text);
    start = end + HEAD_END.length;
    // Interim responses (100 Continue) precede the real one.
    if (status >= 200) return { head: headOf(status, text), bodyStart: start };
  }
}

const looksLikeHttp = (bytes: Buffer): boolean => {
  const opening = bytes.toString("latin1", 0, 7);
  return "HTTP/1.".startsWith(opening.slice(0, 7));
};

function statusOf(text: string): number {
  const status = /^HTTP\/1\.[01] ([1-9]\d\d)(?: |\r|$)/.exec(text)?.[1];
  if (status === undefined) throw notHttp(Buffer.from(text, "latin1"));
  return Number(status);
}

function headOf(status: number, text: string): EngineHead {
  let contentType = "";
  let framing: Framing = { type: "until-close" };
  let keepsOpen = text.startsWith("HTTP/1.1");
  const lines = text.split("\r\n");
  for (let index = 1; index < lines.length; index++) {
    const line = lines[index] as string;
    const colon = line.indexOf(":");
    const name = line.slice(0, colon).toLowerCase();
    if (name === "content-type") contentType = line.slice(colon + 1).trim();
    else if (name === "connection" && /\bclose\b/i.test(line)) keepsOpen = false;
    else if (name === "transfer-encoding" && /\bchunked\s*$/i.test(line)) framing = { type: "chunked" };
    else if (name === "content-length" && framing.type !== "chunked")
      framing = { type: "length", bytes: lengthOf(line.slice(colon + 1).trim()) };
  }
  return { status, contentType, framing, keepsOpen };
}

function lengthOf(text: string): number {
  if (!/^\d{1,15}$/.test(text))
    throw new AssistantError("engine_error", `The engine stated a body length of "${text}", which is not a number.`);
  return Number(text);
}

const notHttp = (bytes: Buffer): AssistantError =>
  new AssistantError(
    "engine_error",
    `The engine's answer is not HTTP: it begins with ${JSON.stringify(bytes.toString("latin1", 0, 40))}.`,
  );
