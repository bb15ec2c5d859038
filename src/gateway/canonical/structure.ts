import type { JsonObject } from "../../core/inference.ts";
import { type Body, type DescribedRule, invalid, isObject, mustBe, object, oneOf } from "./rules.ts";
import { checkSchema } from "./schema.ts";

const formatType = oneOf("text", "json_object", "json_schema");

/** A `response_format`. Only checks that it is an object; `checkStructure` checks the rest. */
export const responseFormat: DescribedRule = {
  passes: isObject,
  expected: "an object",
  schema: {
    type: "object",
    required: ["type"],
    properties: { type: formatType.schema },
    anyOf: [
      { properties: { type: { const: "text" } } },
      { properties: { type: { const: "json_object" }, schema: { type: ["object", "null"] } } },
      {
        required: ["json_schema"],
        properties: {
          type: { const: "json_schema" },
          json_schema: { type: "object", required: ["schema"], properties: { schema: object.schema } },
        },
      },
    ],
  },
};

/**
 * The body with a structure that engines enforce. Throws `invalid_request` for a malformed `response_format`, for two
 * structures at once, and for a JSON Schema that no grammar can follow.
 */
export function checkStructure(body: JsonObject): JsonObject {
  const { grammar, json_schema: schema, response_format: format } = body as Body;
  const asked = [
    ...(typeof grammar === "string" && grammar !== "" ? ["grammar"] : []),
    ...(isObject(schema) ? ["json_schema"] : []),
    ...(isObject(format) && format.type !== "text" ? ["response_format"] : []),
  ];
  if (asked.length > 1)
    throw invalid(
      asked[1] as string,
      `The fields "${asked[0]}" and "${asked[1]}" are both set; an answer can only follow one.`,
    );
  if (isObject(schema)) {
    const checked = checkSchema(schema, "json_schema");
    return checked === schema ? body : { ...body, json_schema: checked };
  }
  if (!isObject(format)) return body;
  const checked = checkFormat(format);
  return checked === format ? body : { ...body, response_format: checked };
}

function checkFormat(format: Body): Body {
  mustBe(formatType, format.type, "response_format.type");
  if (format.type === "json_object") {
    // An extension of llama-server: OpenAI's API has no schema here.
    if (format.schema === undefined || format.schema === null) return format;
    mustBe(object, format.schema, "response_format.schema");
    const schema = checkSchema(format.schema as Body, "response_format.schema");
    return schema === format.schema ? format : { ...format, schema };
  }
  if (format.type !== "json_schema") return format;
  mustBe(object, format.json_schema, "response_format.json_schema");
  const wrapper = format.json_schema as Body;
  mustBe(object, wrapper.schema, "response_format.json_schema.schema");
  const schema = checkSchema(wrapper.schema as Body, "response_format.json_schema.schema");
  return schema === wrapper.schema ? format : { ...format, json_schema: { ...wrapper, schema } };
}
