import type { Static, TSchema } from "typebox";
import { dottedKey } from "../../config/findings.ts";
import { type SchemaNode, schemaNode } from "../../config/schema/kit.ts";
import { validate } from "../../config/validate.ts";
import { AssistantError } from "../../core/errors.ts";
import type { JsonSchema } from "../../core/schema.ts";

/** A schema as `checkedBody` applies it, for `/openapi.json`: unlisted fields are refused. */
export const statedBody = (schema: TSchema): JsonSchema => ({
  ...stated(schemaNode(schema)),
  additionalProperties: false,
});

/** Without the parts that only our own validation and documentation use. */
function stated({ required: _, patternText, secret, properties, items, ...rest }: SchemaNode): JsonSchema {
  const names = Object.entries(properties ?? {});
  const required = names.filter(([, { required }]) => required === true).map(([name]) => name);
  return {
    ...rest,
    ...(required.length > 0 ? { required } : {}),
    ...(items === undefined ? {} : { items: stated(items) }),
    ...(properties === undefined
      ? {}
      : { properties: Object.fromEntries(names.map(([name, each]) => [name, stated(each)])) }),
  };
}

/**
 * The body of a request, checked against the schema. Throws `invalid_request` with the first missing, wrong or unknown
 * field: nothing is converted, and nothing dropped silently. `under`: the field that contains `value`, if any.
 */
export function checkedBody<T extends TSchema>(schema: T, value: unknown, under: string | null = null): Static<T> {
  if (typeof value !== "object" || value === null || Array.isArray(value))
    throw new AssistantError("invalid_request", `${under ?? "The body"} must be a JSON object.`, {
      ...(under === null ? {} : { param: under }),
    });
  validate(
    schemaNode(schema),
    { file: "", data: value as Record<string, unknown>, locator: { line: () => null } },
    // The first error is enough: a body may have a hundred thousand.
    (path, message, missing) => {
      const within = under === null ? path : [under, ...path];
      const key = dottedKey(within).slice(0, MAX_SHOWN);
      const param = missing === undefined ? key : dottedKey([...within, missing]).slice(0, MAX_SHOWN);
      throw new AssistantError("invalid_request", `${key === "" ? "" : `${key}: `}${message.slice(0, MAX_SHOWN)}.`, {
        ...(param === "" ? {} : { param }),
      });
    },
  );
  return value as Static<T>;
}

/** Characters of a client's own text that an error repeats. */
const MAX_SHOWN = 500;
