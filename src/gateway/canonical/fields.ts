import { AssistantError } from "../../core/errors.ts";
import type { JsonObject } from "../../core/inference.ts";
import { type Field, fieldTable, type Operation } from "./field-table.ts";
import { checkGrammar } from "./grammar.ts";
import { checkMessages } from "./messages.ts";
import { type Body, invalid, shown } from "./rules.ts";
import { checkStructure } from "./structure.ts";
import { checkTools } from "./tools.ts";

const tables: Readonly<Record<Operation, ReadonlyMap<string, Field>>> = {
  chat: tableOf("chat"),
  completion: tableOf("completion"),
  embedding: tableOf("embedding"),
  speech: tableOf("speech"),
  transcription: tableOf("transcription"),
  translation: tableOf("translation"),
};

function tableOf(operation: Operation): ReadonlyMap<string, Field> {
  const fields = Object.entries(fieldTable).map(
    ([name, variants]) => [name, variants.find(({ operations }) => operations.includes(operation))] as const,
  );
  return new Map(fields.filter((entry): entry is [string, Field] => entry[1] !== undefined));
}

/** The file of a form is not a field. */
const required: Readonly<Partial<Record<Operation, string>>> = {
  chat: "messages",
  completion: "prompt",
  embedding: "input",
  speech: "input",
};

/**
 * Checks the fields that OpenAI's API or an engine defines, and normalizes them so that every engine understands them.
 * Returns the client's own object if nothing had to be changed. Throws `invalid_request` naming the first wrong field,
 * or a feature that no engine has.
 */
export function checkFields(operation: Operation, body: JsonObject): JsonObject {
  const must = required[operation];
  const table = tables[operation];
  if (must !== undefined && (body[must] === undefined || body[must] === null))
    throw invalid(must, `The field "${must}" is missing: expected ${table.get(must)?.expected}.`);
  let known: Record<string, unknown> | null = null;
  for (const name in body) {
    const field = table.get(name);
    if (field === undefined) continue;
    const value = body[name];
    if (field.dropped?.includes(value)) {
      known ??= { ...body };
      delete known[name];
    } else if (value !== null && value !== undefined && !field.passes(value)) throw wrong(name, field, value);
  }
  const checked = known ?? body;
  if (operation !== "chat" && operation !== "completion") return checked;
  checkGrammar(checked);
  if (operation === "completion") checkGap(checked);
  const structured = checkStructure(checked);
  return operation === "chat" ? checkTools(checkMessages(structured)) : structured;
}

/** A gap is between two texts, and an engine fills one at a time. */
function checkGap({ suffix, prompt, n, n_cmpl: more, logprobs = null }: Body): void {
  if (suffix === undefined) return;
  if (typeof prompt !== "string" && !(Array.isArray(prompt) && prompt.length === 1 && typeof prompt[0] === "string"))
    throw invalid("prompt", `The field "prompt" must be one text with "suffix"; found ${shown(prompt)}.`);
  for (const [name, count] of Object.entries({ n, n_cmpl: more }))
    if ((count ?? 1) !== 1) throw invalid(name, `The field "${name}" must be 1 with "suffix"; found ${shown(count)}.`);
  if (logprobs !== null) throw invalid("logprobs", 'The field "logprobs" must be omitted with "suffix".');
}

/** Throws `invalid_request` for a value that the field does not accept; `at`: the client's name of it. */
export function checkField(operation: Operation, name: string, value: unknown, at: string): void {
  const field = tables[operation].get(name);
  if (field !== undefined && !field.passes(value)) throw wrong(at, field, value);
}

// Null means "not given" in OpenAI's API.
function wrong(name: string, { expected, about, remedy }: Field, value: unknown): AssistantError {
  if (remedy !== undefined)
    return new AssistantError("invalid_request", `The field "${name}" is not supported. ${about}`, {
      param: name,
      remedy,
    });
  return invalid(name, `The field "${name}" must be ${expected}; found ${shown(value)}.`);
}
