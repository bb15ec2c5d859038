import { nearestNames } from "../core/nearest.ts";
import type { SourceFile } from "./findings.ts";
import { dottedKey } from "./findings.ts";
import type { KeyPath } from "./locate.ts";
import type { SchemaNode } from "./schema/kit.ts";

/** Called for everything that does not fit. `missing`: the key at the path that is not there. */
type Report = (path: KeyPath, message: string, missing?: string) => void;

/** Keys that people write and that have another name here, with what to write. */
const knownMistakes: Readonly<Record<string, string>> = {
  api_key:
    'keys are stored hashed: write `[server] api_key_sha256 = [{ name = "me", sha256 = "…" }]` with the output of `printf %s KEY | sha256sum`, or set ASSISTANT_API_KEY',
  api_keys:
    'keys are stored hashed: write `[server] api_key_sha256 = [{ name = "me", sha256 = "…" }]` with the output of `printf %s KEY | sha256sum`, or set ASSISTANT_API_KEY',
  "providers.api_key":
    "keys are not written into the configuration: put it into an environment variable and name that with " +
    "`api_key_env`, or into a separate file, named with `api_key_file`",
  keep_alive: "write `idle_ttl_s`, in seconds; -1 for never",
  temperature: "write `temp`",
  max_tokens: "write `n_predict`",
  context_length: "write `ctx_size`",
  num_ctx: "write `ctx_size`",
  n_ctx: "write `ctx_size`",
  parallel: "write `slots`",
  n_parallel: "write `slots`",
  gpu: 'write `devices = ["cuda:0"]`',
  chat_template: "write `prompt_template`",
};

/**
 * Reports every key of `source` that the schema does not know and every value that it does not allow. True if there
 * were none.
 */
export function validate(schema: SchemaNode, source: SourceFile, report: Report): boolean {
  let valid = true;
  const counting: Report = (path, message, missing) => {
    valid = false;
    report(path, message, missing);
  };
  walk({ root: schema, report: counting }, schema, source.data, []);
  return valid;
}

/** What is wrong with one value of one key, or null; for values that come from flags and the environment. */
export function valueProblem(node: SchemaNode, value: unknown): string | null {
  return fits(node, value) ? null : mismatch(node, value);
}

interface Walk {
  readonly root: SchemaNode;
  readonly report: Report;
}

function walk(context: Walk, node: SchemaNode, value: unknown, path: KeyPath): void {
  if (node.properties !== undefined && isTable(value)) {
    for (const key of Object.keys(value)) {
      const child = Object.hasOwn(node.properties, key) ? node.properties[key] : undefined;
      if (child === undefined) context.report([...path, key], unknownKey(context.root, node, key, path));
      else walk(context, child, value[key], [...path, key]);
    }
    for (const [key, child] of Object.entries(node.properties)) {
      if (child.required && !Object.hasOwn(value, key))
        context.report(path, `\`${key}\` is missing: expected ${expectation(child)}`, key);
    }
  } else if (node.patternProperties !== undefined && isTable(value)) {
    for (const [pattern, child] of Object.entries(node.patternProperties))
      for (const [key, item] of Object.entries(value)) {
        if (new RegExp(pattern, "u").test(key)) walk(context, child, item, [...path, key]);
        else
          context.report(
            [...path, key],
            `${shown(key)} cannot be a key of [${dottedKey(path)}]: expected ${node.keysText}`,
          );
      }
  } else if (node.items !== undefined && Array.isArray(value) && value.length <= (node.maxItems ?? Infinity)) {
    for (const [index, item] of value.entries()) walk(context, node.items, item, [...path, index]);
  } else if (!fits(node, value)) context.report(path, mismatch(node, value) + bracketsHint(node, value, path));
}

function mismatch(node: SchemaNode, value: unknown): string {
  const near = node.enum !== undefined && typeof value === "string" ? nearestNames(value, node.enum, 1)[0] : undefined;
  const hint = near === undefined ? "" : ` (did you mean ${JSON.stringify(near)}?)`;
  return `expected ${expectation(node)}, found ${node.secret ? "something else (not shown, as it may be a secret)" : shown(value)}${hint}`;
}

/** One pair of brackets too few is how such a list is most often got wrong. */
const bracketsHint = (node: SchemaNode, value: unknown, path: KeyPath): string =>
  node.type === "array" && isTable(value) ? `; write [[${dottedKey(path)}]]` : "";

function unknownKey(root: SchemaNode, node: SchemaNode, key: string, path: KeyPath): string {
  const what = path.length === 0 ? "unknown key or section" : `unknown key in [${dottedKey(path)}]`;
  const known = Object.keys(node.properties ?? {});
  const mistake = [`${path[0]}.${key}`, key].find((name) => Object.hasOwn(knownMistakes, name));
  if (mistake !== undefined) return `${what}; ${knownMistakes[mistake]}`;
  const [nearest] = nearestNames(key, known, 1);
  // A key of another section, spelled right, is rather misplaced than misspelled.
  const homes = Object.entries(root.properties ?? {}).filter(([, section]) =>
    Object.hasOwn(section.properties ?? section.items?.properties ?? {}, key),
  );
  const [home] = homes;
  if (home !== undefined)
    return `${what}; it belongs in ${homes.map(([name, section]) => (section.items === undefined ? `[${name}]` : `[[${name}]]`)).join(" or ")}`;
  if (nearest !== undefined) return `${what} (did you mean \`${nearest}\`?)`;
  return `${what}; known are ${known.join(", ")}`;
}

function isTable(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value) && !(value instanceof Date);
}

/**
 * Whether a value fits a schema. The same verdict as TypeBox's own check, which a test asserts; loading that would
 * double the start of every command.
 */
export function fits(node: SchemaNode, value: unknown): boolean {
  if (node.anyOf !== undefined) return node.anyOf.some((option) => fits(option, value));
  if (node.enum !== undefined) return typeof value === "string" && node.enum.includes(value);
  if (node.const !== undefined) return value === node.const;
  switch (node.type) {
    case "boolean":
      return typeof value === "boolean";
    case "string":
      return (
        typeof value === "string" &&
        value.length >= (node.minLength ?? 0) &&
        value.length <= (node.maxLength ?? Infinity) &&
        (node.pattern === undefined || new RegExp(node.pattern, "u").test(value))
      );
    case "integer":
    case "number":
      return (
        typeof value === "number" &&
        (node.type === "integer" ? Number.isInteger(value) : Number.isFinite(value)) &&
        inRange(node, value)
      );
    case "array":
      return (
        Array.isArray(value) &&
        value.length <= (node.maxItems ?? Infinity) &&
        value.every((item) => node.items === undefined || fits(node.items, item))
      );
    default:
      return isTable(value);
  }
}

function inRange({ minimum, maximum, exclusiveMinimum }: SchemaNode, value: number): boolean {
  return value >= (minimum ?? -Infinity) && value <= (maximum ?? Infinity) && value > (exclusiveMinimum ?? -Infinity);
}

/** What a key takes, in words: "an integer of at least 1", "one of "a", "b"". */
export function expectation(node: SchemaNode): string {
  if (node.patternText !== undefined) return node.patternText;
  if (node.anyOf !== undefined) return node.anyOf.map(expectation).join(" or ");
  if (node.enum !== undefined) return `one of ${node.enum.map((word) => JSON.stringify(word)).join(", ")}`;
  if (node.const !== undefined) return JSON.stringify(node.const);
  switch (node.type) {
    case "boolean":
      return "true or false";
    case "string":
      return stringOf(node);
    case "integer":
      return `an integer${range(node)}`;
    case "number":
      return `a number${range(node)}`;
    case "array":
      return arrayOf(node);
    default:
      return "a table";
  }
}

function stringOf({ minLength = 0, maxLength }: SchemaNode): string {
  if (maxLength !== undefined)
    return `a string of ${minLength > 0 ? `${minLength} to` : "at most"} ${maxLength} characters`;
  return minLength > 0 ? "a non-empty string" : "a string";
}

function arrayOf({ items, maxItems }: SchemaNode): string {
  const most = maxItems === undefined ? "" : `at most ${maxItems} `;
  if (items === undefined || items.properties !== undefined) return `an array of ${most}tables`;
  return most === "" ? `an array, each ${expectation(items)}` : `an array of ${most}items, each ${expectation(items)}`;
}

function range({ minimum, maximum, exclusiveMinimum }: SchemaNode): string {
  if (exclusiveMinimum !== undefined)
    return maximum === undefined ? ` above ${exclusiveMinimum}` : ` above ${exclusiveMinimum} and at most ${maximum}`;
  if (minimum !== undefined)
    return maximum === undefined ? ` of at least ${minimum}` : ` from ${minimum} to ${maximum}`;
  return maximum === undefined ? "" : ` of at most ${maximum}`;
}

/** A value as it may appear in a message: short, on one line. */
export function shown(value: unknown): string {
  if (value instanceof Date) return "a date";
  if (typeof value === "bigint") return "a number too large";
  if (Array.isArray(value)) return "an array";
  if (isTable(value)) return "a table";
  if (typeof value !== "string") return String(value);
  return JSON.stringify(value.length > 60 ? `${value.slice(0, 57)}…` : value);
}
