import type { RawMessageStreamEvent } from "@anthropic-ai/sdk/resources/messages";

/** The deltas that a block of each type takes. */
const DELTAS: Readonly<Record<string, readonly string[]>> = {
  text: ["text_delta"],
  thinking: ["thinking_delta", "signature_delta"],
  tool_use: ["input_json_delta"],
  redacted_thinking: [],
};

/**
 * What is wrong with the order of a message's events, as Anthropic's documentation has it; null: nothing. Blocks follow each
 * other, numbered from 0, and each is ended before the next begins; a ping may stand anywhere behind the start.
 */
export function orderFault(events: readonly (RawMessageStreamEvent | { readonly type: "ping" })[]): string | null {
  const [first, ...rest] = events;
  if (first?.type !== "message_start") return `begins with ${first?.type}`;
  let next = 0;
  let open: string | null = null;
  let ended = false;
  for (const [at, event] of rest.entries()) {
    const fault = (what: string): string => `event ${at + 1}, ${event.type}: ${what}`;
    if (event.type === "ping") continue;
    if (ended) {
      if (event.type === "message_stop" && at === rest.length - 1) return null;
      return fault("after message_delta");
    }
    if ("index" in event && event.index !== (event.type === "content_block_start" ? next : next - 1))
      return fault(`index ${event.index}`);
    if (event.type === "content_block_start") {
      if (open !== null) return fault(`within a block of ${open}`);
      open = event.content_block.type;
      next += 1;
    } else if (event.type === "content_block_delta") {
      if (open === null || !DELTAS[open]?.includes(event.delta.type))
        return fault(`${event.delta.type} within ${open}`);
    } else if (event.type === "content_block_stop") {
      if (open === null) return fault("without a block");
      open = null;
    } else if (event.type === "message_delta") {
      if (open !== null) return fault(`within a block of ${open}`);
      ended = true;
    } else return fault("out of place");
  }
  return "no message_stop";
}
