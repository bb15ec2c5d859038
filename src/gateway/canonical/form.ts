import type { IncomingHttpHeaders } from "node:http";
import { AssistantError } from "../../core/errors.ts";
import type { CallForm, JsonObject } from "../../core/inference.ts";
import type { DecodedBody } from "../front/door.ts";
import { modelOf, withoutCapability } from "./decode.ts";
import type { Operation } from "./field-table.ts";
import { checkFields } from "./fields.ts";
import { invalid } from "./rules.ts";

const FILE = "file";
/** Fields that may be repeated, also for engines. */
const MAX_FIELDS = 64;
const MAX_FIELD_CHARACTERS = 64 * 1024;

/** Throws `unsupported_media_type` unless the content type is a form, and `invalid_request` if it has no boundary. */
export function checkFormType(headers: IncomingHttpHeaders): void {
  const type = headers["content-type"];
  if (type !== undefined && /^multipart\/form-data *(;|$)/i.test(type)) {
    if (/; *boundary=./i.test(type)) return;
    throw invalid("content-type", "The content type has no boundary, which is needed to parse the form.");
  }
  const found = type === undefined ? "none" : `"${type.slice(0, 80)}"`;
  throw new AssistantError("unsupported_media_type", `The content type must be multipart/form-data; found ${found}.`, {
    remedy: "Send the recording as the field `file` of a form, as `curl -F file=@FILE -F model=NAME` does.",
  });
}

/**
 * Parses a form with a recording. Rejects with `invalid_request`; `checked` throws it, naming the first wrong field.
 */
export async function decodeForm(
  operation: Operation,
  bytes: Buffer,
  headers: IncomingHttpHeaders,
): Promise<DecodedBody> {
  if (bytes.length === 0) throw new AssistantError("empty_body", "The request has no body; expected a form.");
  const contentType = headers["content-type"] as string;
  const form = await parse(bytes, contentType);
  const asked = withoutCapability({ json: form.fields, bytes, form: { contentType, file: form.file } });
  const { body } = asked;
  const { json: fields } = body;
  return {
    ...asked,
    model: modelOf(fields),
    checked: () => {
      checkFields(operation, fields);
      return { body, prompt: {} };
    },
    prompt: {},
    streamed: fields["stream"] === "true",
    maxTokens: 0,
  };
}

async function parse(
  bytes: Buffer,
  contentType: string,
): Promise<{ readonly fields: JsonObject; readonly file: CallForm["file"] }> {
  const form = await new Response(bytes, { headers: { "content-type": contentType } }).formData().catch((cause) => {
    throw new AssistantError("invalid_request", "The body is not the form declared by its content type.", {
      cause,
    });
  });
  const fields: Record<string, string | string[]> = {};
  let file: File | null = null;
  for (const [name, value] of form) {
    if (typeof value !== "string") {
      if (name !== FILE || file !== null)
        throw invalid(
          name,
          `Expected one file, in the field "${FILE}"; found ${file === null ? `it in "${name.slice(0, 60)}"` : "several"}.`,
        );
      file = value;
    } else if (value.length > MAX_FIELD_CHARACTERS || Object.keys(fields).length >= MAX_FIELDS) {
      throw invalid(
        name.slice(0, 60),
        `A form may have at most ${MAX_FIELDS} fields of ${MAX_FIELD_CHARACTERS} characters in addition to its file.`,
      );
    } else if (Object.hasOwn(fields, name)) fields[name] = [fields[name] ?? [], value].flat();
    else fields[name] = value;
  }
  if (file === null) throw invalid(FILE, `The field "${FILE}" is missing: expected the recording, as a file.`);
  if (file.size === 0) throw invalid(FILE, `The field "${FILE}" must be a recording; found an empty file.`);
  const content = Buffer.from(await file.arrayBuffer());
  return { fields, file: { name: file.name, type: file.type || "application/octet-stream", bytes: content } };
}
