import type { JsonObject } from "../../../core/inference.ts";
import type { Part } from "./blocks.ts";
import { textPart } from "./blocks.ts";

/**
 * Moves system messages to the beginning: many chat templates refuse later ones, and others two user messages in a row.
 * A system message in between becomes part of the preceding user message, or a separate one.
 */
export function withoutLateSystem(messages: readonly JsonObject[]): readonly JsonObject[] {
  const kept: JsonObject[] = [];
  for (const message of messages) {
    const before = kept.at(-1);
    if (message["role"] !== "system" || before === undefined) kept.push(message);
    else {
      const said = textPart(`<system>\n${String(message["content"])}\n</system>`);
      if (before["role"] === "user") kept[kept.length - 1] = { ...before, content: [...partsOf(before), said] };
      else kept.push({ role: "user", content: [said] });
    }
  }
  return kept;
}

const partsOf = ({ content }: JsonObject): readonly Part[] =>
  typeof content === "string" ? [textPart(content)] : (content as readonly Part[]);
