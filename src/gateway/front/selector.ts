import type { IncomingHttpHeaders } from "node:http";
import type { CapabilityQuery } from "../../core/capability-query.ts";
import { AssistantError } from "../../core/errors.ts";
import type { InferenceCall } from "../../core/inference.ts";
import type { DecodedBody } from "./door.ts";

const PREFIX = "x-capability-";
const MAX_KEYS = 32;
const KEY = /^[A-Za-z0-9_.-]{1,64}$/;
const MAX_VALUE_CHARACTERS = 256;

/**
 * Selects what serves a call: the model and the capabilities in its body, and those in its `X-Capability-*` headers,
 * which take precedence. Throws `invalid_request`.
 */
export function selectorOf(
  headers: IncomingHttpHeaders,
  { model, capabilities }: Pick<DecodedBody, "model" | "capabilities">,
  among: readonly string[] | null,
): InferenceCall["selector"] {
  const asked = capabilityHeaders(headers);
  if (asked === null && capabilities === undefined) return { model, among };
  return { model, among, capabilities: { ...capabilities, ...asked } };
}

/** The capabilities in headers: `X-Capability-Max-Context: 8192` is `max_context=8192`. Null: none. */
export function capabilityHeaders(headers: IncomingHttpHeaders): CapabilityQuery | null {
  let found: Record<string, unknown> | null = null;
  for (const name in headers) {
    if (!name.startsWith(PREFIX)) continue;
    found ??= {};
    found[name.slice(PREFIX.length).replaceAll("-", "_")] = headers[name];
  }
  return found === null ? null : (capabilitiesOf(found, "X-Capability-*") ?? null);
}

/**
 * Capabilities as a client wrote them, an object or its JSON text. Undefined: none. Throws `invalid_request`; `field`:
 * the client's name of it.
 */
export function capabilitiesOf(written: unknown, field: string): CapabilityQuery | undefined {
  const value = typeof written === "string" ? parsed(written) : written;
  if (value === undefined || value === null) return undefined;
  if (typeof value !== "object" || Array.isArray(value))
    throw refused(field, `an object such as {"type": "chat"}`, value);
  const entries = Object.entries(value);
  if (entries.length > MAX_KEYS) throw refused(field, `at most ${MAX_KEYS} capabilities`, entries.length);
  if (entries.length === 0) return undefined;
  for (const [key, each] of entries) {
    if (!KEY.test(key)) throw refused(field, "names of up to 64 letters, digits and _ . -", key);
    if (!["string", "number", "boolean"].includes(typeof each) || String(each).length > MAX_VALUE_CHARACTERS)
      throw refused(
        `${field}.${key}`,
        `a text of up to ${MAX_VALUE_CHARACTERS} characters, a number, true or false`,
        each,
      );
  }
  return Object.fromEntries(entries.map(([key, each]) => [key, String(each)]));
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return text;
  }
}

const refused = (field: string, expected: string, found: unknown): AssistantError =>
  new AssistantError(
    "invalid_request",
    `"${field}" must be ${expected}; found ${JSON.stringify(found)?.slice(0, 60) ?? "nothing"}.`,
    { param: field },
  );
