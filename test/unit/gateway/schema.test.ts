import { Ajv } from "ajv";
import addFormats from "ajv-formats";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { FORMAT_PATTERNS } from "../../../src/gateway/canonical/format-patterns.ts";
import { toGrammarPattern } from "../../../src/gateway/canonical/pattern.ts";
import { checkSchema } from "../../../src/gateway/canonical/schema.ts";

const text = { type: "string" };
const withFormats = addFormats.default(new Ajv());

describe("what a grammar follows passes as it is", () => {
  test.each<[string, object]>([
    ["anything", {}],
    [
      "an object",
      {
        type: "object",
        properties: { a: text, b: { type: "integer", minimum: 0, maximum: 9 } },
        required: ["a"],
        additionalProperties: false,
      },
    ],
    ["an optional value, as Pydantic writes it", { anyOf: [text, { type: "null" }], default: null, title: "Name" }],
    ["several types", { type: ["string", "null"], minLength: 2 }],
    ["values", { type: ["string", "null"], enum: ["a", null] }],
    ["a list", { type: "array", items: { type: "number" }, minItems: 1, maxItems: 5, uniqueItems: false }],
    ["a tuple", { type: "array", prefixItems: [text, { type: "integer" }], minItems: 2 }],
    [
      "definitions",
      {
        $ref: "#/$defs/node",
        $defs: { node: { type: "object", properties: { next: { $ref: "#/$defs/node" }, v: text }, required: ["v"] } },
      },
    ],
    [
      "formats",
      {
        type: "object",
        properties: { a: { type: "string", format: "date-time" }, b: { type: "string", format: "uuid" } },
      },
    ],
    [
      "joined objects",
      {
        allOf: [
          { type: "object", properties: { a: text } },
          { type: "object", properties: { b: text } },
        ],
      },
    ],
    ["what is said of other kinds of values", { type: "string", minimum: 3, uniqueItems: true }],
  ])("%s", (_, schema) => {
    expect(checkSchema(schema, "s")).toBe(schema);
  });
});

describe("what generators of schemas write", () => {
  test("beside a pattern, a format is an annotation", () => {
    const email = { type: "string", format: "email", pattern: "^[a-z]+@[a-z]+$" };
    expect(checkSchema(email, "s")).toEqual({ ...email, pattern: toGrammarPattern(email.pattern) });
    const prefixed = { type: "string", format: "starts_with", pattern: "^x.*" };
    expect(checkSchema(prefixed, "s")).toMatchObject({ pattern: expect.stringMatching(/^\^\(x/) });
  });

  describe.each(Object.entries(FORMAT_PATTERNS))("a pattern stands for the format %s", (format, written) => {
    test("as llama.cpp writes it", () => {
      expect(checkSchema({ type: "string", format }, "s")).toEqual({
        type: "string",
        format,
        pattern: toGrammarPattern(written.pattern),
      });
    });

    test("and all that it matches has the format and the lengths", () => {
      const isValid = withFormats.compile({ type: "string", format });
      fc.assert(
        fc.property(fc.stringMatching(new RegExp(written.pattern)), (value) => {
          expect([value, isValid(value)]).toEqual([value, true]);
          expect(value.length).toBeGreaterThanOrEqual(written.shortest);
          expect(value.length).toBeLessThanOrEqual(written.longest);
        }),
      );
    });
  });

  test.each([
    ["duration", ["P1Y2DT3H", "PT90S", "P2W"]],
    ["email", ["kim@example.org", "kim.lee+news@mail.example.co.uk"]],
    ["hostname", ["localhost", "www.example.org"]],
    ["ipv4", ["192.168.0.255", "0.0.0.0"]],
    ["ipv6", ["2001:db8:0:0:0:0:0:1"]],
    ["uri", ["https://example.org", "http://localhost:8080/a/b.html?c=d&e=1"]],
  ])("the pattern of %s matches common values", (format, values) => {
    const { pattern } = FORMAT_PATTERNS[format] as { pattern: string };
    for (const value of values) expect(value).toMatch(new RegExp(pattern));
  });

  test("Pydantic's limits of the length of a URL hold for all that the pattern matches", () => {
    const url = { type: "string", format: "uri", minLength: 1, maxLength: 2083 };
    expect(checkSchema(url, "s")).toMatchObject({ pattern: expect.any(String) });
  });

  test("Zod's records and tuples", () => {
    const record = { type: "object", propertyNames: { type: "string" }, additionalProperties: { type: "number" } };
    expect(checkSchema(record, "s")).toBe(record);
    const tuple = { type: "array", prefixItems: [text, text], minItems: 2, maxItems: 2 };
    expect(checkSchema({ ...tuple, items: false }, "s")).toEqual(tuple);
    const older = { type: "array", items: [text, text], additionalItems: false };
    expect(checkSchema(older, "s")).toBe(older);
  });
});

describe("what it would pass over in silence is refused, with keyword and path", () => {
  test.each<[string, object]>([
    ["s.multipleOf", { type: "integer", multipleOf: 3 }],
    ["s.minimum", { type: "number", minimum: 0 }],
    ["s.maximum", { maximum: 3 }],
    ["s.properties.a.uniqueItems", { type: "object", properties: { a: { type: "array", uniqueItems: true } } }],
    ["s.items.contains", { type: "array", items: { type: "array", contains: text } }],
    ["s.patternProperties", { type: "object", patternProperties: { "^a": text } }],
    ["s.minProperties", { type: "object", minProperties: 1 }],
    ["s.not", { not: text }],
    ["s.if", { type: "string", if: text, else: text }],
    ["s.required", { type: "object", required: ["a"] }],
    ["s.format", { type: "string", format: "iri" }],
    ["s.maxLength", { type: "string", format: "email", maxLength: 20 }],
    ["s.minLength", { type: "string", format: "date", minLength: 1 }],
    ["s.pattern", { type: "string", format: "date", pattern: "^(?=a)b$" }],
    ["s.minLength", { type: "string", pattern: "^a+$", minLength: 2 }],
    ["s.properties", { anyOf: [text], properties: { a: text } }],
    ["s.minLength", { enum: ["a"], minLength: 3 }],
    ["s.type", { type: "string", enum: ["a", 1] }],
    ["s.minLength", { $ref: "#/$defs/a", minLength: 1, $defs: { a: text } }],
    ["s.prefixItems", { type: "array", items: text, prefixItems: [text] }],
    ["s.minItems", { type: "array", prefixItems: [text], minItems: 2 }],
    ["s.allOf[0]", { allOf: [text, { minLength: 3, type: "string" }] }],
    ["s.exclusiveMinimum", { type: "integer", minimum: 1, exclusiveMinimum: 1 }],
    ["s.properties.a.pattern", { type: "object", properties: { a: { type: "string", pattern: "^(?=a)b$" } } }],
    ["s.maxItems", { type: "array", items: text, maxItems: 100_000 }],
    ["s.$ref", { $ref: "#/$defs/none" }],
    ["s.$ref", { $ref: "https://example.com/schema" }],
    ["s.type", { type: "poem" }],
    ["s.properties.a", { type: "object", properties: { a: true } }],
    ["s", { $ref: "#/$defs/a", $defs: { a: { $ref: "#/$defs/b" }, b: { $ref: "#/$defs/a" } } }],
    ["s", { anyOf: [{ $ref: "#" }, text] }],
    [
      "s.required",
      {
        type: "object",
        properties: Object.fromEntries(Array.from({ length: 101 }, (_, index) => [`p${index}`, text])),
      },
    ],
    ["s.enum", { enum: Array.from({ length: 20_000 }, (_, index) => index) }],
    ["s", { type: "integer", minimum: 5, maximum: 1 }],
  ])("%s", (param, schema) => {
    expect(() => checkSchema(schema, "s")).toThrow(expect.objectContaining({ code: "invalid_request", param }));
  });
});

test("what cannot be enforced is refused with what to do instead", () => {
  for (const schema of [
    { type: "number", minimum: 0 },
    { ...text, format: "iri" },
    { ...text, pattern: "^(?=a)$" },
  ])
    expect(() => checkSchema(schema, "s")).toThrow(
      expect.objectContaining({ remedy: expect.stringMatching(/^Leave it out, and check the answer/) }),
    );
});

test("a reference to the root leads to where one can refer to", () => {
  const tree = {
    type: "object",
    properties: {
      children: { type: "array", items: { $ref: "#" } },
      leaf: { $ref: "#/$defs/leaf" },
      twin: { $ref: "#/properties/leaf" },
    },
    $defs: { leaf: text },
  };
  const moved = {
    type: "object",
    properties: {
      children: { type: "array", items: { $ref: "#/$defs/root-" } },
      leaf: { $ref: "#/$defs/leaf" },
      twin: { $ref: "#/$defs/root-/properties/leaf" },
    },
  };
  expect(checkSchema(tree, "s")).toEqual({ $ref: "#/$defs/root-", $defs: { leaf: text, "root-": moved } });
});

describe("a name in a reference", () => {
  const read = (reference: string, ...names: string[]): object =>
    checkSchema({ $ref: reference, $defs: Object.fromEntries(names.map((name) => [name, { const: name }])) }, "s");
  test.each([
    ["#/$defs/a~0b", "a~b"],
    ["#/$defs/a~01b", "a~1b"],
    ["#/$defs/a%20b", "a b"],
    ["#/$defs/%C3%A4", "ä"],
    ["#/%24defs/a", "a"],
    ["#/$defs/100%", "100%"],
    ["#/$defs/a~b", "a~b"],
  ])("%s is %s", (reference, name) => {
    expect(read(reference, name, "other")).toMatchObject({ $ref: `#/$defs/${name}` });
  });

  test("means what its escapes say before what is written", () => {
    expect(read("#/$defs/a%20b", "a%20b", "a b")).toMatchObject({ $ref: "#/$defs/a b" });
    expect(read("#/$defs/a%20b", "a%20b")).toMatchObject({ $ref: "#/$defs/a%20b" });
  });

  test.each(["#/$defs/a~1b", "#/$defs/a%2Fb"])("with a slash leads to another one: %s", (reference) => {
    expect(read(reference, "a/b")).toEqual({
      $ref: "#/$defs/ref-1-",
      $defs: { "a/b": { $ref: "#/$defs/ref-1-" }, "ref-1-": { const: "a/b" } },
    });
  });

  test("with a slash may be within another, and refer to the root", () => {
    const user = {
      type: "object",
      properties: { next: { $ref: "#" }, id: { $ref: "#/properties/~1users/properties/id" } },
    };
    const paths = {
      type: "object",
      properties: {
        "/users": { type: "object", properties: { id: text, all: { $ref: "#/properties/~1users" } } },
        user,
      },
    };
    const users = { $ref: "#/$defs/ref-1-" };
    expect(checkSchema(paths, "s")).toEqual({
      $ref: "#/$defs/root-",
      $defs: {
        "ref-1-": { type: "object", properties: { id: { $ref: "#/$defs/ref-2-" }, all: users } },
        "ref-2-": text,
        "root-": {
          type: "object",
          properties: {
            "/users": users,
            user: { type: "object", properties: { next: { $ref: "#/$defs/root-" }, id: { $ref: "#/$defs/ref-2-" } } },
          },
        },
      },
    });
  });

  test.each(["#/$defs/a~1c", "#/$defs/a/b", "#/$defs/%zz"])("that leads nowhere is refused: %s", (reference) => {
    expect(() => read(reference, "a/b")).toThrow(expect.objectContaining({ code: "invalid_request", param: "s.$ref" }));
  });
});

/** The pattern as the platform reads it. */
const asRegExp = (pattern: string): RegExp =>
  new RegExp(
    pattern
      .replace(/\\U([0-9A-F]{8})/g, (_, code: string) => `\\u{${code.replace(/^0+(?=.)/, "")}}`)
      .replace(/-(?=\()/g, "-"),
    "u",
  );

test.each<[string, string, string]>([
  ["\\d+", "abc 12", "abc"],
  ["^\\d{3}-\\d{4}$", "555-1234", "5555-1234"],
  ["^[^a]*$", "xyz", "xaz"],
  ["^a|b$", "abc", "cba"],
  ["^(?:x|y)+?z$", "xyz", "xy"],
  ["^a\\.+$", "a..", "a.a."],
  ["^\\w+@\\w+\\.com$", "me@example.com", "me@example.org"],
  ["^[\\w.-]{2,3}$", "a-.", "a"],
  ["^\\S\\s\\S$", "a b", "a  b"],
  ["^.{1,3}$", "🦊ab", "🦊abc"],
  ["^[^\\d\\s]$", "x", "1"],
])("the pattern %s still matches %j, and not %j", (pattern, good, bad) => {
  const whole = asRegExp(toGrammarPattern(pattern));
  expect([whole.test(good), whole.test(bad)]).toEqual([true, false]);
  expect(new RegExp(pattern, "u").test(good)).toBe(true);
});

test("nothing that a pattern lets through ends the text of JSON that it is in", () => {
  for (const pattern of ["^.*$", "^[^a]*$", "^[\\s\\S]*$", '^["-~]*$', "a"]) {
    for (const escaped of ['"', "\\", "\n", "\u0001"])
      expect(asRegExp(toGrammarPattern(pattern)).test(`a${escaped}`)).toBe(false);
  }
  expect(asRegExp(toGrammarPattern('^a\\\\"\\n$')).test(JSON.stringify('a\\"\n').slice(1, -1))).toBe(true);
});

test.each([
  "^(?!a)b$",
  "\\bword",
  "^(a)\\1$",
  "^$",
  "^(a||b)$",
  "^[z-a]$",
  "^(a$",
  "^a)$",
  "*",
  "^(a{50}){50}$",
  `^${"(".repeat(40)}a${")".repeat(40)}$`,
  "^\\p{L}$",
  "a\\",
])("the pattern %s is refused", (pattern) => {
  expect(() => toGrammarPattern(pattern)).toThrow();
});
