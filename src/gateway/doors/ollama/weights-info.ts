import { isAssistantError } from "../../../core/errors.ts";
import type { JsonObject } from "../../../core/inference.ts";
import { isObject } from "../../canonical/rules.ts";

const TEMPLATE = "tokenizer.chat_template";
/** Ollama includes lists only with `verbose`: a vocabulary is megabytes long. */
const SKIPPED: ReadonlySet<string> = new Set(["general.name", TEMPLATE]);

/** The header of a GGUF file by its keys, and the chat template in it ("": none). Empty for an unreadable one. */
export async function weightsInfo(
  file: string | null,
  verbose: boolean,
): Promise<{ readonly info: JsonObject; readonly template: string }> {
  if (file === null) return { info: {}, template: "" };
  const { readWholeHeader } = await import("../../../models/whole-header.ts");
  const header = await readWholeHeader(file).catch((error: unknown) => {
    if (isAssistantError(error)) return null;
    throw error;
  });
  const values = new Map(header === null ? [] : flattened("", header.metadata));
  const template = values.get(TEMPLATE);
  const shown = [...values].filter(([key]) => !SKIPPED.has(key));
  return {
    info: Object.fromEntries(
      shown.map(([key, value]) => [key, Array.isArray(value) && !verbose ? null : plain(value)]),
    ),
    template: typeof template === "string" ? template : "",
  };
}

function flattened(prefix: string, value: unknown): [string, unknown][] {
  if (!isObject(value)) return [[prefix, value]];
  return Object.entries(value).flatMap(([key, inner]) => flattened(prefix === "" ? key : `${prefix}.${key}`, inner));
}

/** JSON has no integers of 64 bits. */
const plain = (value: unknown): unknown => (typeof value === "bigint" ? Number(value) : value);
