import { basename } from "node:path";
import type { MultipartFile } from "@fastify/multipart";
import type { FastifyRequest } from "fastify";
import { AssistantError, isAssistantError } from "../../../../core/errors.ts";
import type { StoredRecord } from "../../../../core/store.ts";
import { integer, invalid, oneOf, shown } from "../../../canonical/rules.ts";
import { refuseContentEncoding } from "../../../front/content-encoding.ts";
import type { Files, NewFile, StoredFile } from "./stored.ts";

const purposes = oneOf("assistants", "batch", "fine-tune", "vision", "user_data", "evals");
/** LlamaEdge's clients name none. */
const DEFAULT_PURPOSE = "assistants";
const seconds = integer(3_600, 2_592_000);
const MAX_NAME = 255;
const FIELDS: ReadonlySet<string> = new Set(["purpose", "expires_after[anchor]", "expires_after[seconds]"]);

/**
 * Parses a form with a file, whose content is written to disk as it arrives. Rejects with `invalid_request`,
 * `body_too_large`, `unsupported_media_type`.
 */
export async function uploaded(request: FastifyRequest, files: Files): Promise<StoredRecord<StoredFile>> {
  refuseContentEncoding(request.headers);
  const { tenant } = request.identity.caller;
  const fields = new Map<string, string>();
  let kept: { readonly filename: string; readonly content: Pick<StoredFile, "digest" | "bytes"> } | null = null;
  // One byte more than allowed shows that there is more.
  const limits = { files: 1, fields: 16, fieldSize: 1_024, fileSize: files.limitBytes + 1 };
  try {
    for await (const part of request.parts({ limits })) {
      if (part.type === "file") kept = await keptFile(tenant, part, files);
      else fields.set(part.fieldname, String(part.value));
    }
  } catch (error) {
    throw formError(error);
  }
  if (kept === null) throw invalid("file", 'The form has no "file".');
  const { filename, content } = kept;
  return await files.add(tenant, { filename, ...described(fields) }, content);
}

async function keptFile(
  tenant: string,
  { fieldname, filename, file }: MultipartFile,
  files: Files,
): Promise<{ readonly filename: string; readonly content: Pick<StoredFile, "digest" | "bytes"> }> {
  if (fieldname !== "file")
    throw invalid(fieldname.slice(0, 100), `The file must be in the field "file"; found ${shown(fieldname)}.`);
  const name = basename(filename.replaceAll("\\", "/")).slice(0, MAX_NAME);
  if (name === "") throw invalid("file", 'The field "file" must have a file name.');
  return { filename: name, content: await files.write(tenant, file) };
}

function described(fields: ReadonlyMap<string, string>): Omit<NewFile, "filename"> {
  const unknown = [...fields.keys()].find((name) => !FIELDS.has(name));
  if (unknown !== undefined)
    throw invalid(
      unknown.slice(0, 100),
      `There is no field ${shown(unknown)}; expected one of file, ${[...FIELDS].join(", ")}.`,
    );
  const purpose = fields.get("purpose") ?? DEFAULT_PURPOSE;
  if (!purposes.passes(purpose))
    throw invalid("purpose", `"purpose" must be ${purposes.expected}; found ${shown(purpose)}.`);
  const anchor = fields.get("expires_after[anchor]");
  const written = fields.get("expires_after[seconds]");
  if (anchor === undefined && written === undefined) return { purpose, expiresAfterS: null };
  if (anchor !== "created_at")
    throw invalid("expires_after[anchor]", `"expires_after[anchor]" must be "created_at"; found ${shown(anchor)}.`);
  const after = /^\d{1,9}$/.test(written ?? "") ? Number(written) : Number.NaN;
  if (!seconds.passes(after))
    throw invalid(
      "expires_after[seconds]",
      `"expires_after[seconds]" must be ${seconds.expected}; found ${shown(written)}.`,
    );
  return { purpose, expiresAfterS: after };
}

/** The form's parser throws other errors: fastify's with a code, those of the syntax without. */
function formError(error: unknown): unknown {
  if (isAssistantError(error) || !(error instanceof Error)) return error;
  const { code = null } = error as { readonly code?: unknown };
  if (code === "FST_INVALID_MULTIPART_CONTENT_TYPE")
    return new AssistantError("unsupported_media_type", "The content type must be multipart/form-data.");
  const isOfForm = code === null ? error.constructor === Error : String(code).startsWith("FST_");
  return isOfForm ? new AssistantError("invalid_request", `The form cannot be read: ${error.message}.`) : error;
}
