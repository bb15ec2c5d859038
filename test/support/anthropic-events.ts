import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import type { RawMessageStreamEvent } from "@anthropic-ai/sdk/resources/messages";
import { Ajv2020 } from "ajv/dist/2020.js";

const file = fileURLToPath(new URL("../fixtures/anthropic.schema.json", import.meta.url));
const ajv = new Ajv2020({ strict: false, allErrors: true });
ajv.addSchema({ $id: "anthropic", ...(JSON.parse(readFileSync(file, "utf8")) as object) });

/** What is wrong with an event, or with a `Message`, by the published types of Anthropic's API; empty: nothing. */
export function schemaErrors(value: object & { readonly type?: string }, name = value.type ?? ""): string[] {
  const validate = ajv.getSchema(`anthropic#/$defs/${name}`);
  if (validate === undefined) return [`there is no event ${name}`];
  if (validate(JSON.parse(JSON.stringify(value)))) return [];
  return (validate.errors ?? []).map(({ instancePath, message, params }) =>
    [instancePath, message, JSON.stringify(params)].join(" "),
  );
}

/** The deltas that a block of each type takes. */
const DELTAS: Readonly<Record<string, readonly string[]>> = {
  text: ["text_delta"],
  thinking: ["thinking_delta", "signature_delta"],
  tool_use: ["input_json_delta"],
  redacted_thinking: [],
};

/**
 * What is wrong with a message's events, each by its schema, and with their order, as Anthropic's documentation has it;
 * null:
 * nothing. Blocks follow each other, numbered from 0, and each is ended before the next begins; a ping may stand
 * anywhere behind the start.
 */
export function streamFault(events: readonly (RawMessageStreamEvent | { readonly type: "ping" })[]): string | null {
  const [wrong] = events.flatMap((event) => schemaErrors(event).map((error) => `${event.type}: ${error}`));
  if (wrong !== undefined) return wrong;
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
