import { isDeepStrictEqual } from "node:util";
import { type Body, invalid, isObject, isString, shown } from "./rules.ts";
import {
  boundsOf,
  CONSTRAINTS,
  checkInteger,
  checkText,
  checkValues,
  GENERAL,
  KEYWORDS,
  listOf,
  MAX_ALTERNATIVES,
  merged,
  objectOf,
  refuse,
  TYPES,
  unenforced,
  withList,
} from "./schema-keywords.ts";
import { SchemaReferences } from "./schema-references.ts";

/**
 * Checks that a JSON Schema says nothing that llama.cpp's grammars would pass over in silence (common/json-schema.cpp
 * and json-schema-to-grammar.cpp decide that), and rewrites what they can follow when it is said another way: patterns,
 * references to the root. Returns the schema itself where nothing had to be rewritten. `at` is where the body has it.
 * Throws
 * `invalid_request` naming keyword and path.
 */
export function checkSchema(schema: unknown, at: string): Body {
  const root = schemaOf(schema, at);
  return new SchemaReader(root, at).read();
}

/** Properties that may be left out: a grammar has a rule for each pair of them. */
const MAX_OPTIONAL = 100;
const MAX_PROPERTIES = 1_000;

/** What is said in words that need not be said. */
const NEUTRAL: Readonly<Record<string, readonly unknown[]>> = {
  uniqueItems: [false],
  minItems: [0],
  minLength: [0],
  minProperties: [0],
  unevaluatedProperties: [false, true],
  unevaluatedItems: [true],
  propertyNames: [true],
  // A grammar has exactly as many items as a list of them.
  additionalItems: [true, false],
};

/** Names of properties are always strings, which Zod writes. */
const isNeutral = (name: string, value: unknown): boolean =>
  NEUTRAL[name]?.includes(value) === true || (name === "propertyNames" && isDeepStrictEqual(value, { type: "string" }));

class SchemaReader {
  readonly #root: Body;
  readonly #at: string;
  readonly #references: SchemaReferences;
  readonly #seen = new Set<Body>();
  /** Where each reference is. */
  readonly #referrers = new Map<string, string>();
  /** What a schema is made of without a value in between. */
  readonly #parts = new Map<Body, readonly Body[]>();

  constructor(root: Body, at: string) {
    this.#root = root;
    this.#at = at;
    this.#references = new SchemaReferences(root);
  }

  read(): Body {
    const read = this.#schema(this.#root, this.#at);
    for (const [reference, at] of this.#referrers) this.#resolve(reference, at);
    this.#refuseEndless();
    return this.#references.whole(read);
  }

  #schema(value: unknown, at: string): Body {
    const schema = schemaOf(value, at);
    this.#seen.add(schema);
    const said = CONSTRAINTS.filter((name) => schema[name] !== undefined && !isNeutral(name, schema[name]));
    const read = this.#kind(schema, said, at);
    const defined = ["$defs", "definitions"].filter((name) => isObject(schema[name]));
    const definitions = defined.map((name) => [name, this.#each(schema[name] as Body, `${at}.${name}`)] as const);
    const whole = defined.length === 0 ? read : merged(read, Object.fromEntries(definitions));
    return this.#references.placed(schema, whole);
  }

  #kind(schema: Body, said: readonly string[], at: string): Body {
    if (said.includes("$ref")) return this.#reference(schema, said, at);
    const alternatives = said.find((name) => name === "anyOf" || name === "oneOf");
    if (alternatives !== undefined) return this.#alternatives(schema, alternatives, said, at);
    if (said.includes("const") || said.includes("enum")) return checkValues(schema, said, at);
    refuse(
      said,
      GENERAL.filter((name) => name !== "allOf"),
      at,
    );
    const { type } = schema;
    if (Array.isArray(type)) return this.#types(schema, type, at);
    if (type !== undefined && !TYPES.includes(type as string))
      throw invalid(`${at}.type`, `"${at}.type" must be one of ${TYPES.join(", ")}; found ${shown(type)}.`);
    const kind = (type as string | undefined) ?? kindOf(schema);
    if (said.includes("allOf")) return this.#allOf(schema, said, at);
    switch (kind) {
      case "object":
        return this.#object(schema, said, at);
      case "array":
        return this.#array(schema, said, at);
      case "string":
        return checkText(schema, said, at);
      case "integer":
        return checkInteger(schema, said, at);
      case "number":
        refuse(said, KEYWORDS["number"] ?? [], at);
        return schema;
      case "boolean":
      case "null":
        return schema;
      default:
        refuse(said, CONSTRAINTS, at, "without a type");
        return schema;
    }
  }

  #reference(schema: Body, said: readonly string[], at: string): Body {
    const { $ref } = schema;
    refuse(
      said,
      CONSTRAINTS.filter((name) => name !== "$ref"),
      at,
      "beside $ref",
    );
    if (!isString($ref) || !/^#(?:$|\/)/.test($ref))
      throw invalid(
        `${at}.$ref`,
        `"${at}.$ref" must refer to a part of the same schema, such as "#/$defs/name"; found ${shown($ref)}.`,
      );
    this.#referrers.set($ref, at);
    const target = this.#references.target($ref);
    if (target !== null) this.#parts.set(schema, [target]);
    const written = this.#references.written($ref);
    return written === $ref ? schema : { ...schema, $ref: written };
  }

  #alternatives(schema: Body, name: string, said: readonly string[], at: string): Body {
    refuse(
      said,
      CONSTRAINTS.filter((other) => other !== name),
      at,
      `beside ${name}`,
    );
    const list = listOf(schema[name], `${at}.${name}`);
    if (list.length > MAX_ALTERNATIVES)
      throw invalid(
        `${at}.${name}`,
        `"${at}.${name}" must have at most ${MAX_ALTERNATIVES} alternatives; it has ${list.length}.`,
      );
    const read = list.map((item, index) => this.#schema(item, `${at}.${name}[${index}]`));
    this.#parts.set(schema, list as readonly Body[]);
    const { type } = schema;
    if (type !== undefined && list.some((item) => (this.#target(item as Body)?.type ?? null) !== type))
      throw unenforced(`${at}.type`, "type", `beside ${name}`);
    return withList(schema, name, read);
  }

  #types(schema: Body, types: readonly unknown[], at: string): Body {
    if (types.length === 0) throw invalid(`${at}.type`, `"${at}.type" must not be empty.`);
    const { $defs: _, definitions: __, ...rest } = schema;
    const variants = types.map((type) => ({ ...rest, type }));
    const read = variants.map((variant) => this.#schema(variant, at));
    if (read.every((variant, index) => variant === variants[index])) return schema;
    return { anyOf: read };
  }

  /** One is as good as none; of several llama.cpp joins the properties. */
  #allOf(schema: Body, said: readonly string[], at: string): Body {
    const list = listOf(schema.allOf, `${at}.allOf`);
    refuse(
      said,
      CONSTRAINTS.filter((name) => name !== "allOf"),
      at,
      "beside allOf",
    );
    const read = list.map((item, index) => this.#schema(item, `${at}.allOf[${index}]`));
    this.#parts.set(schema, list as readonly Body[]);
    const [only] = read;
    if (only !== undefined && read.length === 1) return only;
    const names = new Set<string>();
    for (const [index, item] of list.entries()) {
      const target = this.#target(item as Body);
      const isJoined =
        isObject(target?.properties) && target.additionalProperties !== true && !isObject(target.additionalProperties);
      const properties = isJoined ? Object.keys(target?.properties as Body) : [];
      if (!isJoined || properties.some((name) => names.has(name)))
        throw unenforced(`${at}.allOf[${index}]`, "allOf", "unless its parts are objects with different properties");
      for (const name of properties) names.add(name);
    }
    return withList(schema, "allOf", read);
  }

  #object(schema: Body, said: readonly string[], at: string): Body {
    refuse(
      said,
      (KEYWORDS["object"] ?? []).filter((name) => !["properties", "required", "additionalProperties"].includes(name)),
      at,
    );
    const properties = schema.properties === undefined ? {} : objectOf(schema.properties, `${at}.properties`);
    const required = schema.required === undefined ? [] : schema.required;
    if (!Array.isArray(required) || !required.every(isString))
      throw invalid(`${at}.required`, `"${at}.required" must be an array of strings; found ${shown(required)}.`);
    const missing = required.find((name) => !Object.hasOwn(properties, name));
    if (missing !== undefined)
      throw unenforced(
        `${at}.required`,
        "required",
        `for ${JSON.stringify(missing.slice(0, 60))}, which is not in properties`,
      );
    const names = Object.keys(properties);
    const optional = names.length - new Set(required).size;
    if (names.length > MAX_PROPERTIES)
      throw invalid(
        `${at}.properties`,
        `"${at}.properties" must have at most ${MAX_PROPERTIES} properties; it has ${names.length}.`,
      );
    if (optional > MAX_OPTIONAL)
      throw invalid(
        `${at}.required`,
        `"${at}.required" must leave at most ${MAX_OPTIONAL} properties optional; it leaves ${optional}.`,
      );
    const { additionalProperties: others } = schema;
    if (!(others === undefined || typeof others === "boolean" || isObject(others)))
      throw invalid(
        `${at}.additionalProperties`,
        `"${at}.additionalProperties" must be a boolean or a schema; found ${shown(others)}.`,
      );
    return merged(schema, {
      ...(schema.properties === undefined ? {} : { properties: this.#each(properties, `${at}.properties`) }),
      ...(isObject(others) ? { additionalProperties: this.#schema(others, `${at}.additionalProperties`) } : {}),
    });
  }

  #array(given: Body, said: readonly string[], at: string): Body {
    const schema = withoutRest(given);
    const { items, prefixItems } = schema;
    refuse(
      said,
      (KEYWORDS["array"] ?? []).filter((name) => !["items", "prefixItems", "minItems", "maxItems"].includes(name)),
      at,
    );
    if (items !== undefined && prefixItems !== undefined)
      throw unenforced(`${at}.prefixItems`, "prefixItems", "beside items");
    const [least, most] = boundsOf(schema, "minItems", "maxItems", at);
    const name = items === undefined ? "prefixItems" : "items";
    const list = items ?? prefixItems;
    if (list === undefined) return schema;
    if (!Array.isArray(list)) return merged(schema, { [name]: this.#schema(list, `${at}.${name}`) });
    // A grammar has exactly so many.
    if (least > list.length) throw unenforced(`${at}.minItems`, "minItems", `next to ${name}, which has fewer`);
    if (most < list.length) throw unenforced(`${at}.maxItems`, "maxItems", `next to ${name}, which has more`);
    return withList(
      schema,
      name,
      list.map((item, index) => this.#schema(item, `${at}.${name}[${index}]`)),
    );
  }

  #each(schemas: Body, at: string): Body {
    return merged(
      schemas,
      Object.fromEntries(
        Object.entries(schemas).map(([name, schema]) => [name, this.#schema(schema, `${at}.${name.slice(0, 80)}`)]),
      ),
    );
  }

  /** The schema that a reference leads to, in the end. */
  #target(schema: Body): Body | null {
    let target: Body | null = schema;
    for (let steps = 0; target !== null && isString(target.$ref); steps++)
      target = steps > 100 ? null : this.#references.target(target.$ref);
    return target;
  }

  #resolve(reference: string, at: string): void {
    const target = this.#references.target(reference);
    if (target === null || !this.#seen.has(target))
      throw invalid(
        `${at}.$ref`,
        `"${at}.$ref" refers to ${JSON.stringify(reference.slice(0, 100))}, where there is no schema.`,
      );
  }

  /** A schema that is itself, or one alternative of itself, has a grammar that never comes to a value. */
  #refuseEndless(): void {
    const done = new Set<Body>();
    const within = new Set<Body>();
    const visit = (schema: Body): void => {
      if (within.has(schema))
        throw invalid(this.#at, `"${this.#at}" has a schema that refers to itself without a value in between.`);
      if (done.has(schema)) return;
      within.add(schema);
      for (const part of this.#parts.get(schema) ?? []) visit(part);
      within.delete(schema);
      done.add(schema);
    };
    for (const schema of this.#parts.keys()) visit(schema);
  }
}

/** Without `items: false`, which closes a tuple: a grammar has no further items, and takes `items` before `prefixItems`. */
export function withoutRest(schema: Body): Body {
  if (schema.items !== false || !Array.isArray(schema.prefixItems)) return schema;
  const { items: _, ...rest } = schema;
  return rest;
}

function schemaOf(value: unknown, at: string): Body {
  if (isObject(value)) return value;
  throw invalid(at, `"${at}" must be a JSON Schema, an object; found ${shown(value)}.`);
}

/** What a schema without a type is about, as llama.cpp guesses it. */
function kindOf(schema: Body): string | null {
  if (
    schema.properties !== undefined ||
    (schema.additionalProperties !== undefined && schema.additionalProperties !== true)
  )
    return "object";
  if (schema.items !== undefined || schema.prefixItems !== undefined) return "array";
  return ["pattern", "minLength", "maxLength", "format"].some((name) => schema[name] !== undefined) ? "string" : null;
}
