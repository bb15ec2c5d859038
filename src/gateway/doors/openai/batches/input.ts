import type { JsonObject } from "../../../../core/inference.ts";
import { isObject, isString, shown } from "../../../canonical/rules.ts";
import { type Line, linesOf } from "./lines.ts";
import type { BatchError } from "./record.ts";

/** One request of a batch. */
export interface BatchRequest {
  readonly line: number;
  readonly customId: string;
  readonly body: JsonObject;
}

const MAX_REQUESTS = 50_000;
/** Maximum number of reported errors. */
const MAX_ERRORS = 100;
const MAX_ID = 512;

/** A line as a request for the endpoint, or its error. */
export function requestOf({ number, text }: Line, endpoint: string, maxLineBytes: number): BatchRequest | BatchError {
  const wrong = (code: string, param: string | null, message: string): BatchError => ({
    ...{ code, message, param },
    line: number,
  });
  if (text === null) return wrong("invalid_line", null, `Expected a line of UTF-8 with at most ${maxLineBytes} bytes.`);
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    return wrong("invalid_json_line", null, "This line is not JSON.");
  }
  if (!isObject(json)) return wrong("invalid_json_line", null, `Expected a JSON object; found ${shown(json)}.`);
  const { custom_id: customId, method, url, body } = json;
  if (!isString(customId) || customId === "" || customId.length > MAX_ID)
    return wrong(
      "invalid_custom_id",
      "custom_id",
      `"custom_id" must be a string of 1 to ${MAX_ID} characters; found ${shown(customId)}.`,
    );
  if (method !== "POST") return wrong("invalid_method", "method", `"method" must be "POST"; found ${shown(method)}.`);
  if (url !== endpoint)
    return wrong("invalid_url", "url", `"url" must be the batch's endpoint, "${endpoint}"; found ${shown(url)}.`);
  if (!isObject(body)) return wrong("invalid_body", "body", `"body" must be an object; found ${shown(body)}.`);
  if (!isString(body["model"]))
    return wrong("invalid_body", "body.model", `"body.model" must be a string; found ${shown(body["model"])}.`);
  for (const name of ["stream", "background"])
    if (body[name] === true)
      return wrong("invalid_body", `body.${name}`, `"body.${name}" cannot be true: the answers of a batch are files.`);
  return { line: number, customId, body };
}

export const isWrong = (read: BatchRequest | BatchError): read is BatchError => "code" in read;

/** Reads a whole input. `checkModel` returns the problem with a model; null: none. */
export async function checkInput(
  content: AsyncIterable<Uint8Array>,
  endpoint: string,
  maxLineBytes: number,
  checkModel: (model: string) => Pick<BatchError, "code" | "message"> | null,
): Promise<{ readonly total: number; readonly errors: readonly BatchError[] }> {
  const errors: BatchError[] = [];
  const known = new Map<string, number>();
  let model: string | null = null;
  let total = 0;
  for await (const line of linesOf(content, maxLineBytes)) {
    total++;
    const read = requestOf(line, endpoint, maxLineBytes);
    if (isWrong(read)) errors.push(read);
    else {
      const at = { line: line.number };
      const { customId, body } = read;
      const earlier = known.get(customId);
      if (earlier !== undefined)
        errors.push({
          ...{ ...at, code: "duplicate_custom_id", param: "custom_id" },
          message: `Line ${earlier} has the same "custom_id".`,
        });
      known.set(customId, earlier ?? line.number);
      if (model === null) {
        model = body["model"] as string;
        const problem = checkModel(model);
        if (problem !== null) errors.push({ ...problem, ...at, param: "body.model" });
      } else if (body["model"] !== model)
        errors.push({
          ...{ ...at, code: "mismatched_model", param: "body.model" },
          message: `All requests of a batch must use one model; found ${shown(body["model"])} after "${model.slice(0, 100)}".`,
        });
    }
    if (total > MAX_REQUESTS) {
      const message = `A batch has at most ${MAX_REQUESTS} requests.`;
      errors.push({ code: "too_many_requests", message, param: null, line: line.number });
      break;
    }
    if (errors.length >= MAX_ERRORS) break;
  }
  if (total === 0) errors.push({ code: "empty_file", message: "The file has no requests.", param: null, line: null });
  return { total, errors };
}

/** The model of the first request; "": the line is invalid. */
export async function firstModel(
  content: AsyncIterable<Uint8Array>,
  endpoint: string,
  maxLineBytes: number,
): Promise<string> {
  for await (const line of linesOf(content, maxLineBytes)) {
    const read = requestOf(line, endpoint, maxLineBytes);
    return isWrong(read) ? "" : (read.body["model"] as string);
  }
  return "";
}
