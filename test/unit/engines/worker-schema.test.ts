import { describe, expect, test } from "vitest";
import { describedSchema, grammarSchema } from "../../../src/engines/node-llama-cpp/worker/schema.ts";

describe("JSON Schemas for grammars", () => {
  test("annotations are dropped, limits kept", () => {
    const annotations = { $schema: "x", title: "T", description: "d", "x-order": 1, contentMediaType: "text/plain" };
    expect(grammarSchema({ ...annotations, type: "string", minLength: 1, maxLength: 3 })).toEqual({
      ...{ type: "string", minLength: 1, maxLength: 3 },
    });
  });

  test("a union with a discriminator, as Pydantic writes it, is a union", () => {
    const kind = (name: string) => ({ type: "object", properties: { kind: { const: name } }, required: ["kind"] });
    expect(
      grammarSchema({ oneOf: [kind("cat"), kind("dog")], discriminator: { propertyName: "kind", mapping: {} } }),
    ).toMatchObject({
      oneOf: [{ properties: { kind: { enum: ["cat"] } } }, { properties: { kind: { enum: ["dog"] } } }],
    });
  });

  test("listed properties close an object, an object without any stays open", () => {
    expect(grammarSchema({ type: "object", properties: { a: { type: "null" } } })).toMatchObject({
      additionalProperties: false,
    });
    expect(grammarSchema({ type: "object" })).toMatchObject({ additionalProperties: true });
  });

  test("types that are left out are inferred from what stands beside them", () => {
    expect(grammarSchema({ properties: { a: { items: { type: "integer" } } } })).toMatchObject({
      type: "object",
      properties: { a: { type: "array", items: { type: "integer" } } },
    });
  });

  test("several types become alternatives", () => {
    expect(grammarSchema({ type: ["string", "null"] })).toEqual({ oneOf: [{ type: "string" }, { type: "null" }] });
  });

  test("both words for definitions are understood", () => {
    expect(grammarSchema({ definitions: { p: { type: "integer" } }, $ref: "#/definitions/p" })).toEqual({
      $ref: "#/$defs/p",
      $defs: { p: { type: "integer" } },
    });
  });

  test("what Zod writes for every integer and every record needs no grammar", () => {
    const { MIN_SAFE_INTEGER: minimum, MAX_SAFE_INTEGER: maximum } = Number;
    expect(grammarSchema({ type: "integer", minimum, maximum })).toEqual({ type: "integer" });
    const record = { type: "object", propertyNames: { type: "string" }, additionalProperties: { type: "null" } };
    expect(grammarSchema(record)).toMatchObject({ additionalProperties: { type: "null" } });
  });

  test.each([
    [{ type: "string", pattern: "^a" }, "pattern"],
    [{ type: "integer", minimum: 3 }, "minimum"],
    [{ allOf: [{}] }, "allOf"],
    [{ type: "string", format: "email" }, "email"],
    [{ const: { a: 1 } }, "fixed value"],
    [{ type: "object", required: ["ghost"] }, "ghost"],
    [{ $ref: "other.json" }, "other.json"],
    [{ type: "thing" }, "thing"],
    [{ properties: { a: { properties: { b: { uniqueItems: true } } } } }, "schema.a.b"],
  ])("%j is refused, naming what is in the way", (schema, named) => {
    expect(() => grammarSchema(schema)).toThrow(named);
  });
});

describe("schemas that describe the arguments of a tool", () => {
  test("what a grammar cannot express is left out", () => {
    const described = {
      type: "object",
      properties: {
        count: { type: "integer", minimum: 1, maximum: 9 },
        mail: { type: "string", format: "email", pattern: "^a", maxLength: 20 },
        day: { type: "string", format: "date" },
        all: { allOf: [{}] },
        fixed: { const: { a: 1 } },
        other: { $ref: "other.json" },
        odd: { type: "thing" },
        tags: { type: "array", items: { type: "string", pattern: "^t" }, uniqueItems: true },
      },
      required: ["count", "ghost"],
    };
    const { properties, ...rest } = describedSchema(described) as unknown as { properties: object };
    expect(rest).toEqual({ type: "object", additionalProperties: false });
    const anything = grammarSchema({});
    expect(properties).toEqual({
      count: { type: "integer" },
      mail: { type: "string", maxLength: 20 },
      day: { type: "string", format: "date" },
      all: anything,
      fixed: anything,
      other: anything,
      odd: anything,
      tags: { type: "array", items: { type: "string" } },
    });
  });

  test("one of which nothing can be used stands for any object", () => {
    expect(describedSchema({ type: "thing" })).toEqual({ type: "object", additionalProperties: true });
    expect(describedSchema({})).toEqual({ type: "object", additionalProperties: true });
  });
});
