import type { Static, TSchema } from "typebox";
import { dottedKey } from "../../config/findings.ts";
import { schemaNode } from "../../config/schema/kit.ts";
import { validate } from "../../config/validate.ts";
import { AssistantError } from "../../core/errors.ts";

/**
 * The body of a request as the schema describes it. Throws `invalid_request` with the first field that is missing, wrong
 * or unknown: nothing is converted, and nothing left out silently. `under`: the field that `value` is, where it is one.
 */
export function checkedBody<T extends TSchema>(schema: T, value: unknown, under: string | null = null): Static<T> {
  if (typeof value !== "object" || value === null || Array.isArray(value))
    throw new AssistantError("invalid_request", `${under ?? "The body"} must be a JSON object.`, {
      ...(under === null ? {} : { param: under }),
    });
  const problems: { readonly key: string; readonly message: string }[] = [];
  validate(
    schemaNode(schema),
    { file: "", data: value as Record<string, unknown>, locator: { line: () => null } },
    (path, message) => problems.push({ key: dottedKey(under === null ? path : [under, ...path]), message }),
  );
  const [first] = problems;
  if (first === undefined) return value as Static<T>;
  throw new AssistantError("invalid_request", `${first.key === "" ? "" : `${first.key}: `}${first.message}.`, {
    ...(first.key === "" ? {} : { param: first.key }),
  });
}
