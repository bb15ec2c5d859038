import { toGrammarPattern, UnsupportedPattern } from "./pattern.ts";
import { type Body, invalid, isObject, isString, shown } from "./rules.ts";

/**
 * Checks that a JSON Schema says nothing that llama.cpp's grammars would pass over in silence (common/json-schema.cpp and
 * json-schema-to-grammar.cpp decide that), and rewrites what they can follow when it is said another way: patterns, references
 * to the root. Returns the schema itself where nothing had to be rewritten. `at` is where the body has it. Throws
 * `invalid_request` naming keyword and path.
 */
export function checkSchema(schema: unknown, at: string): Body {
  const root = schemaOf(schema, at);
  return new SchemaReader(root, at).read();
}

/** Keywords by the kind of value that they are about. About any other kind they say nothing. */
const KEYWORDS: Readonly<Record<string, readonly string[]>> = {
  object:
    "properties required additionalProperties patternProperties propertyNames minProperties maxProperties dependentRequired dependentSchemas dependencies unevaluatedProperties".split(
      " ",
    ),
  array:
    "items prefixItems additionalItems contains minContains maxContains minItems maxItems uniqueItems unevaluatedItems".split(
      " ",
    ),
  string: "pattern format minLength maxLength".split(" "),
  number: "minimum maximum exclusiveMinimum exclusiveMaximum multipleOf".split(" "),
};
/** About values of every kind. */
const GENERAL = "$ref anyOf oneOf allOf const enum not if then else $dynamicRef $recursiveRef".split(" ");
const CONSTRAINTS = [...GENERAL, ...Object.values(KEYWORDS).flat()];
const TYPES = ["object", "array", "string", "number", "integer", "boolean", "null"];
const FORMATS = /^(?:date|time|date-time|uuid[1-5]?)$/;

/** A grammar repeats what it repeats by copying it, and has its own limit not far above. */
const MAX_REPETITIONS = 1_000;
/** Properties that may be left out: a grammar has a rule for each pair of them. */
const MAX_OPTIONAL = 100;
const MAX_PROPERTIES = 1_000;
const MAX_ALTERNATIVES = 2_000;
const MOVED_ROOT = "#/$defs/root-";

/** What is said in words that need not be said. */
const NEUTRAL: Readonly<Record<string, readonly unknown[]>> = {
  uniqueItems: [false],
  minItems: [0],
  minLength: [0],
  minProperties: [0],
  unevaluatedProperties: [false, true],
  unevaluatedItems: [true],
  propertyNames: [true],
  additionalItems: [true],
};

class SchemaReader {
  readonly #root: Body;
  readonly #at: string;
  /** Whether something refers to the root, which llama.cpp takes for no reference: the root is then moved to where one can. */
  readonly #moves: boolean;
  readonly #seen = new Set<Body>();
  readonly #references = new Map<string, string>();
  /** What a schema is made of without a value in between. */
  readonly #parts = new Map<Body, readonly Body[]>();

  constructor(root: Body, at: string) {
    this.#root = root;
    this.#at = at;
    this.#moves = refersToRoot(root);
  }

  read(): Body {
    const read = this.#schema(this.#root, this.#at);
    for (const [reference, at] of this.#references) this.#resolve(reference, at);
    this.#refuseEndless();
    if (!this.#moves) return read;
    const { $defs, definitions, ...rest } = read;
    return {
      $ref: MOVED_ROOT,
      $defs: { ...(isObject($defs) ? $defs : {}), "root-": rest },
      ...(definitions === undefined ? {} : { definitions }),
    };
  }

  #schema(value: unknown, at: string): Body {
    const schema = schemaOf(value, at);
    this.#seen.add(schema);
    const said = CONSTRAINTS.filter(
      (name) => schema[name] !== undefined && !(NEUTRAL[name]?.includes(schema[name]) ?? false),
    );
    const read = this.#kind(schema, said, at);
    const defined = ["$defs", "definitions"].filter((name) => isObject(schema[name]));
    if (defined.length === 0) return read;
    return merged(
      read,
      Object.fromEntries(defined.map((name) => [name, this.#each(schema[name] as Body, `${at}.${name}`)])),
    );
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
    this.#references.set($ref, at);
    const target = this.#lookUp($ref);
    if (target !== null) this.#parts.set(schema, [target]);
    return this.#moves ? { ...schema, $ref: moved($ref) } : schema;
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

  #array(schema: Body, said: readonly string[], at: string): Body {
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
    const given = items ?? prefixItems;
    if (given === undefined) return schema;
    if (!Array.isArray(given)) return merged(schema, { [name]: this.#schema(given, `${at}.${name}`) });
    // A grammar has exactly so many.
    if (least > given.length) throw unenforced(`${at}.minItems`, "minItems", `beside ${name}, which has fewer`);
    if (most < given.length) throw unenforced(`${at}.maxItems`, "maxItems", `beside ${name}, which has more`);
    return withList(
      schema,
      name,
      given.map((item, index) => this.#schema(item, `${at}.${name}[${index}]`)),
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
      target = steps > 100 ? null : this.#lookUp(target.$ref);
    return target;
  }

  /** As llama.cpp does it: names as they are written, without escapes. */
  #lookUp(reference: string): Body | null {
    let found: unknown = this.#root;
    for (const name of reference.split("/").slice(1))
      found =
        (isObject(found) || Array.isArray(found)) && Object.hasOwn(found, name) ? (found as Body)[name] : undefined;
    return isObject(found) ? found : null;
  }

  #resolve(reference: string, at: string): void {
    const target = this.#lookUp(reference);
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

const unenforced = (param: string, keyword: string, where = ""): Error =>
  invalid(
    param,
    `The JSON Schema keyword "${keyword}" cannot be enforced${where === "" ? "" : ` ${where}`}, at "${param}".`,
  );

function refuse(said: readonly string[], names: readonly string[], at: string, where?: string): void {
  const found = said.find((name) => names.includes(name));
  if (found !== undefined) throw unenforced(`${at}.${found}`, found, where);
}

function schemaOf(value: unknown, at: string): Body {
  if (isObject(value)) return value;
  throw invalid(at, `"${at}" must be a JSON Schema, an object; found ${shown(value)}.`);
}

function objectOf(value: unknown, at: string): Body {
  if (isObject(value)) return value;
  throw invalid(at, `"${at}" must be an object of schemas; found ${shown(value)}.`);
}

function listOf(value: unknown, at: string): readonly unknown[] {
  if (Array.isArray(value) && value.length > 0) return value;
  throw invalid(at, `"${at}" must be a non-empty array of schemas; found ${shown(value)}.`);
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

function checkValues(schema: Body, said: readonly string[], at: string): Body {
  const name = said.includes("const") ? "const" : "enum";
  refuse(
    said,
    CONSTRAINTS.filter((other) => other !== name),
    at,
    `beside ${name}`,
  );
  const values = name === "const" ? [schema.const] : schema.enum;
  if (!Array.isArray(values) || values.length === 0)
    throw invalid(`${at}.enum`, `"${at}.enum" must be a non-empty array; found ${shown(values)}.`);
  if (values.length > MAX_ALTERNATIVES)
    throw invalid(`${at}.enum`, `"${at}.enum" must have at most ${MAX_ALTERNATIVES} values; it has ${values.length}.`);
  const types = schema.type === undefined ? null : [schema.type].flat();
  if (types !== null && !values.every((value) => types.some((type) => isOfType(value, type))))
    throw unenforced(`${at}.type`, "type", `beside ${name} with values of another`);
  return schema;
}

function isOfType(value: unknown, type: unknown): boolean {
  if (type === "integer") return Number.isInteger(value);
  if (type === "null") return value === null;
  if (type === "array") return Array.isArray(value);
  if (type === "object") return isObject(value);
  return typeof value === type;
}

function checkText(schema: Body, said: readonly string[], at: string): Body {
  const { pattern, format } = schema;
  const [first, second] = said.filter(
    (name) =>
      ["pattern", "format"].includes(name) ||
      (["minLength", "maxLength"].includes(name) && (pattern ?? format) !== undefined),
  );
  if (second !== undefined) throw unenforced(`${at}.${second}`, second, `beside ${first}`);
  boundsOf(schema, "minLength", "maxLength", at);
  if (format !== undefined && !(isString(format) && FORMATS.test(format))) {
    throw invalid(
      `${at}.format`,
      `The JSON Schema keyword "format" cannot be enforced for ${shown(format)}, at "${at}.format"; date, time, date-time and uuid can.`,
    );
  }
  if (pattern === undefined) return schema;
  if (!isString(pattern)) throw invalid(`${at}.pattern`, `"${at}.pattern" must be a string; found ${shown(pattern)}.`);
  if (pattern.length > 1_000) throw invalid(`${at}.pattern`, `"${at}.pattern" must have at most 1000 characters.`);
  try {
    return { ...schema, pattern: toGrammarPattern(pattern) };
  } catch (error) {
    if (!(error instanceof UnsupportedPattern)) throw error;
    throw invalid(
      `${at}.pattern`,
      `The JSON Schema keyword "pattern" cannot be enforced for this pattern, at "${at}.pattern": ${error.message}.`,
    );
  }
}

function checkInteger(schema: Body, said: readonly string[], at: string): Body {
  refuse(said, ["multipleOf"], at);
  for (const [first, second] of [
    ["minimum", "exclusiveMinimum"],
    ["maximum", "exclusiveMaximum"],
  ] as const) {
    if (said.includes(first) && said.includes(second)) throw unenforced(`${at}.${second}`, second, `beside ${first}`);
    for (const name of [first, second]) {
      const bound = schema[name];
      if (bound !== undefined && !(typeof bound === "number" && Math.abs(bound) <= Number.MAX_SAFE_INTEGER))
        throw invalid(`${at}.${name}`, `"${at}.${name}" must be a number of at most 2^53; found ${shown(bound)}.`);
    }
  }
  const least = Math.ceil(
    (schema.minimum as number | undefined) ??
      Math.floor((schema.exclusiveMinimum as number | undefined) ?? Number.NEGATIVE_INFINITY) + 1,
  );
  const most = Math.floor(
    (schema.maximum as number | undefined) ??
      Math.ceil((schema.exclusiveMaximum as number | undefined) ?? Number.POSITIVE_INFINITY) - 1,
  );
  if (least > most) throw invalid(at, `"${at}" allows no integer: none is at least ${least} and at most ${most}.`);
  return schema;
}

/** Fewest and most of a repetition. */
function boundsOf(schema: Body, min: string, max: string, at: string): [number, number] {
  const [least, most] = [min, max].map((name) => {
    const bound = schema[name];
    if (bound === undefined) return null;
    if (!(Number.isInteger(bound) && (bound as number) >= 0 && (bound as number) <= MAX_REPETITIONS)) {
      throw invalid(
        `${at}.${name}`,
        `"${at}.${name}" must be an integer from 0 to ${MAX_REPETITIONS}, to be enforced; found ${shown(bound)}.`,
      );
    }
    return bound as number;
  });
  if ((most ?? Number.POSITIVE_INFINITY) < (least ?? 0))
    throw invalid(`${at}.${max}`, `"${at}.${max}" must not be less than ${min}.`);
  return [least ?? 0, most ?? Number.POSITIVE_INFINITY];
}

/** The object with these values, or itself where it has them. */
const merged = (object: Body, values: Body): Body =>
  Object.entries(values).every(([name, value]) => object[name] === value) ? object : { ...object, ...values };

const withList = (schema: Body, name: string, list: readonly unknown[]): Body =>
  list.every((item, index) => item === (schema[name] as readonly unknown[])[index])
    ? schema
    : { ...schema, [name]: list };

/** Where a reference leads once the root is moved. */
const moved = (reference: string): string =>
  reference === "#"
    ? MOVED_ROOT
    : /^#\/(?:\$defs|definitions)\//.test(reference)
      ? reference
      : `${MOVED_ROOT}${reference.slice(1)}`;

const refersToRoot = (value: unknown): boolean =>
  typeof value === "object" &&
  value !== null &&
  ((value as Body).$ref === "#" || Object.values(value).some(refersToRoot));
