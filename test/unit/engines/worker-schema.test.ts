import { describe, expect, test } from "vitest";
import { grammarSchema } from "../../../src/engines/node-llama-cpp/worker/schema.ts";

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
