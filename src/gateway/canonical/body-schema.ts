import type { JsonSchema } from "../../core/schema.ts";
import { type Field, fieldTable, type Operation } from "./field-table.ts";
import { orNull } from "./rules.ts";

/** The body of a request, as validated by `checkFields`. Other fields pass. */
export function bodySchema(operation: Operation): JsonSchema {
  const { properties, required } = fieldsOf(operation);
  return { type: "object", ...(required.length > 0 ? { required } : {}), properties };
}

/** A form with a recording, as parsed by `decodeForm`. */
export function formSchema(operation: "transcription" | "translation"): JsonSchema {
  const { properties } = fieldsOf(operation);
  const file = { type: "string", format: "binary", description: "The recording." };
  return { type: "object", required: ["file"], properties: { file, ...properties } };
}

function fieldsOf(operation: Operation): { properties: Record<string, JsonSchema>; required: readonly string[] } {
  const properties: Record<string, JsonSchema> = {};
  const required: string[] = [];
  for (const [name, variants] of Object.entries(fieldTable)) {
    const field = variants.find(({ operations }) => operations.includes(operation));
    if (field === undefined) continue;
    if (field.required) required.push(name);
    properties[name] = propertyOf(field);
  }
  return { properties, required };
}

const propertyOf = ({ schema, about, remedy, required }: Field): JsonSchema => ({
  ...(required || remedy !== undefined ? schema : orNull(schema)),
  description: remedy === undefined ? about : `Refused. ${about} ${remedy}`,
  ...(remedy === undefined ? {} : { deprecated: true }),
});
