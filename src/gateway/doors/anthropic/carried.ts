import type { JsonObject } from "../../../core/inference.ts";
import { isObject, isString } from "../../canonical/rules.ts";

/**
 * Data that some providers require back with a tool call (`extra_content`: the signatures of their models' thinking)
 * has no field in Anthropic's API. It is sent in a block of redacted thinking before the call, which clients return
 * unchanged.
 */
const PREFIX = "assistant.";

/** The data of such a block. */
export const carry = (callId: string, extra: unknown): string =>
  PREFIX + Buffer.from(JSON.stringify({ id: callId, extra })).toString("base64url");

export interface Carried {
  readonly id: string;
  readonly extra: JsonObject;
}

/** Null: the data are not ours. */
export function carried(data: string): Carried | null {
  if (!data.startsWith(PREFIX)) return null;
  try {
    const { id, extra } = JSON.parse(Buffer.from(data.slice(PREFIX.length), "base64url").toString()) as Carried;
    return isString(id) && isObject(extra) ? { id, extra } : null;
  } catch {
    return null;
  }
}
