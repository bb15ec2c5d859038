import fc from "fast-check";
import { Value } from "typebox/value";
import { describe, expect, it } from "vitest";
import { type SchemaNode, schemaNode } from "../../../src/config/schema/kit.ts";
import { MainFile } from "../../../src/config/schema/main.ts";
import { ModelFile } from "../../../src/config/schema/model.ts";
import { fits } from "../../../src/config/validate.ts";

/** Every leaf of a schema, by its dotted name. */
function leaves(node: SchemaNode, name: string): [string, SchemaNode][] {
  const children = Object.entries(node.properties ?? node.items?.properties ?? {});
  return children.length === 0
    ? [[name, node]]
    : children.flatMap(([key, child]) => leaves(child, name === "" ? key : `${name}.${key}`));
}

const values = fc.oneof(
  fc.constantFrom<unknown>(
    "",
    "auto",
    "llama-server",
    "f16",
    "mean",
    "layer",
    "debug",
    "*",
    "https://a.example",
    "a".repeat(64),
    "cuda:0",
    -1,
    0,
    1,
    0.5,
    1.5,
    2,
    65536,
    true,
    false,
    [],
    ["x"],
    [1, 2],
    {},
  ),
  fc.string(),
  fc.integer(),
  fc.double(),
  fc.array(fc.oneof(fc.string(), fc.integer())),
);

describe.each([
  ["config.toml", MainFile],
  ["a model file", ModelFile],
])("the check of %s", (_name, schema) => {
  it.each(leaves(schemaNode(schema), ""))("agrees with TypeBox's on %s", (_key, node) => {
    fc.assert(
      fc.property(values, (value) => {
        expect(fits(node, value)).toBe(Value.Check(node as never, value));
      }),
      { numRuns: 60 },
    );
  });
});
