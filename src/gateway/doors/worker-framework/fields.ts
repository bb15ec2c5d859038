import { AssistantError } from "../../../core/errors.ts";
import type { JsonObject } from "../../../core/inference.ts";
import type { Capabilities } from "../../../core/model.ts";
import { type WorkerProtocol, workerProtocols } from "../../../core/worker.ts";
import { NOBODY } from "../../../workers/reservation.ts";

/** The fields of a body; a form's are strings. */
export type Fields = JsonObject;

const MAX_NAME_CHARACTERS = 200;
const MAX_ID_CHARACTERS = 200;
const MAX_IDS = 1_000;
const MAX_FORM_FIELDS = 100;
const MAX_SLOTS = 1024;
const MAX_CAPABILITIES = 64;

/** The same sentence for every field, because clients of this protocol expect it. */
const missing = (): AssistantError => new AssistantError("invalid_request", "Missing required field.");

const invalid = (param: string, expected: string): AssistantError =>
  new AssistantError("invalid_request", `"${param}" must be ${expected}.`, { param });

export const isForm = (type: string | undefined): boolean =>
  type !== undefined && /^application\/x-www-form-urlencoded *(?:;|$)/i.test(type);

/** Throws `invalid_request` for very many fields, since parsing them would block the daemon. */
export function formFields(text: string): Fields {
  for (let at = text.indexOf("&"), fields = 1; at >= 0; at = text.indexOf("&", at + 1))
    if (++fields > MAX_FORM_FIELDS)
      throw new AssistantError("invalid_request", `The form must have at most ${MAX_FORM_FIELDS} fields.`);
  return Object.fromEntries(new URLSearchParams(text));
}

export const fieldsOf = (body: unknown): Fields =>
  typeof body === "object" && body !== null && !Array.isArray(body) ? (body as Fields) : {};

export function textField(fields: Fields, name: string): string {
  const value = fields[name];
  if (value === undefined || value === null || value === "") throw missing();
  if (typeof value !== "string") throw invalid(name, "a text");
  return value;
}

export function nameField(fields: Fields): string {
  const name = textField(fields, "name");
  if (name.length <= MAX_NAME_CHARACTERS && !/\p{Cc}/u.test(name) && name.trim() === name) return name;
  throw invalid("name", `at most ${MAX_NAME_CHARACTERS} characters, without control characters and space around them`);
}

/** Ids are numbers or strings. */
const isId = (value: unknown): value is string | number =>
  (typeof value === "string" && value !== "" && value.length <= MAX_ID_CHARACTERS) || Number.isSafeInteger(value);

export function historyField(fields: Fields): string | number {
  const value = fields["history_id"];
  if (isId(value)) return value;
  throw value === undefined || value === null || value === "" ? missing() : invalid("history_id", "an id");
}

/** Null where none is named. */
export function userField({ user_id: value }: Fields): string | number | null {
  if (value === undefined || value === null || value === "") return null;
  if (isId(value)) return value;
  throw invalid("user_id", "an id");
}

export const userOrNobody = (fields: Fields): string | number => userField(fields) ?? NOBODY;

/** `history_id` of an abort: one id or several; as JSON in a form. */
export function historiesField({ history_id: value }: Fields): readonly (string | number)[] {
  const list = typeof value === "string" && value.startsWith("[") ? parsed(value) : value;
  if (list === undefined || list === null || list === "") throw missing();
  const ids: readonly unknown[] = Array.isArray(list) ? list : [list];
  if (ids.length <= MAX_IDS && ids.every(isId)) return ids;
  throw invalid("history_id", `a list of at most ${MAX_IDS} ids`);
}

export function slotsField({ slots = 1 }: Fields): number {
  const count = typeof slots === "string" ? Number(slots) : slots;
  if (Number.isInteger(count) && (count as number) >= 1 && (count as number) <= MAX_SLOTS) return count as number;
  throw invalid("slots", `an integer from 1 to ${MAX_SLOTS}`);
}

export function protocolField({ protocol = "form" }: Fields): WorkerProtocol {
  if ((workerProtocols as readonly unknown[]).includes(protocol)) return protocol as WorkerProtocol;
  throw invalid("protocol", workerProtocols.map((name) => `"${name}"`).join(" or "));
}

/** As JSON in a form. */
export function capabilitiesField({ capabilities = {} }: Fields): Capabilities {
  const value = typeof capabilities === "string" ? parsed(capabilities) : capabilities;
  const isObject = typeof value === "object" && value !== null && !Array.isArray(value);
  const entries = isObject ? Object.entries(value) : [];
  const isPlain = entries.every(
    ([key, one]) => key.length <= MAX_NAME_CHARACTERS && ["string", "number", "boolean"].includes(typeof one),
  );
  if (isObject && isPlain && entries.length <= MAX_CAPABILITIES) return value as Capabilities;
  throw invalid(
    "capabilities",
    `an object of at most ${MAX_CAPABILITIES} entries, each a string, a number, true or false`,
  );
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
