import { AssistantError, isAssistantError } from "../../../core/errors.ts";
import { bodyOf, type JsonObject } from "../../../core/inference.ts";
import { decodedBody } from "../../canonical/decode.ts";
import type { Operation } from "../../canonical/field-table.ts";
import { boolean, invalid, isObject, mustBe, text } from "../../canonical/rules.ts";
import type { DecodedBody } from "../../front/door.ts";

/** As in Ollama, null counts as missing. */
export const isGiven = (value: unknown): boolean => value !== undefined && value !== null;

/** Throws `invalid_request` for a given field that is not a string. */
export function textOf(body: JsonObject, name: string): string {
  const value = body[name];
  if (!isGiven(value)) return "";
  mustBe(text, value, name);
  return value as string;
}

/** The same for true or false. */
export function flagOf(body: JsonObject, name: string, fallback: boolean): boolean {
  const value = body[name];
  if (!isGiven(value)) return fallback;
  mustBe(boolean, value, name);
  return value as boolean;
}

/** Unsupported features are refused. `asks`: whether the value requests one. */
export function refuse(body: JsonObject, name: string, remedy: string, asks = isAsked(body[name])): void {
  if (!asks) return;
  throw new AssistantError("invalid_request", `The field "${name}" is not supported.`, { param: name, remedy });
}

const isAsked = (value: unknown): boolean =>
  isGiven(value) && value !== "" && value !== 0 && value !== false && !(Array.isArray(value) && value.length === 0);

/** `format` as a JSON Schema; null: free text. Any object stands for "json". */
export function schemaOf({ format }: JsonObject): JsonObject | null {
  if (!isGiven(format) || format === "") return null;
  if (format === "json") return { type: "object" };
  if (isObject(format)) return format;
  throw invalid("format", 'The field "format" must be "json" or a JSON Schema.');
}

/** The client's names for the fields of the translated body. */
const OWN_NAMES: readonly (readonly [canonical: string, own: string])[] = [
  ["response_format.json_schema.schema", "format"],
  ["response_format", "format"],
  ["json_schema", "format"],
  ["max_tokens", "options.num_predict"],
];

/** Checks a body in OpenAI's format as if a client had sent it; errors use this API's names. */
export function canonical(operation: Operation, body: JsonObject): DecodedBody {
  const decoded = decodedBody(operation, bodyOf(body));
  const { checked } = decoded;
  if (checked === undefined) return decoded;
  return {
    ...decoded,
    checked() {
      try {
        return checked();
      } catch (error) {
        throw isAssistantError(error) ? inOwnNames(error) : error;
      }
    },
  };
}

function inOwnNames(error: AssistantError): AssistantError {
  const [canonicalName, own] = OWN_NAMES.find(([name]) => error.param?.startsWith(name) === true) ?? [];
  if (canonicalName === undefined || own === undefined || error.param === null) return error;
  return new AssistantError(error.code, error.message.replaceAll(canonicalName, own), {
    param: error.param.replace(canonicalName, own),
    ...(error.remedy === null ? {} : { remedy: error.remedy }),
    cause: error,
  });
}
