import { Ajv2020 } from "ajv/dist/2020.js";
import fc from "fast-check";
import { expect, test } from "vitest";
import { bodySchema } from "../../../src/gateway/canonical/body-schema.ts";
import { fieldTable, type Operation } from "../../../src/gateway/canonical/field-table.ts";
import { checkFields } from "../../../src/gateway/canonical/fields.ts";
import { checkMessages } from "../../../src/gateway/canonical/messages.ts";
import { checkTools } from "../../../src/gateway/canonical/tools.ts";
import { anyJson, valuesOf } from "../../support/schema-values.ts";

const ajv = new Ajv2020({ strict: false });
/** Their rule is about the outermost value; what is inside is checked elsewhere. */
const CHECKED_INSIDE = ["messages", "tools", "response_format"];

const nearBounds = (schema: object): fc.Arbitrary<unknown> => {
  const bounds = [...JSON.stringify(schema).matchAll(/-?\d+(?:\.\d+)?/g)].map(([text]) => Number(text));
  const near = bounds.flatMap((each) => [each - 1, each - 0.5, each, each + 0.5, each + 1]);
  return fc.constantFrom(0, ...near);
};

test("a field's schema allows what its rule does", () => {
  for (const [name, variants] of Object.entries(fieldTable))
    for (const { schema, passes, remedy, operations } of variants) {
      const allows = ajv.compile(schema);
      const values = fc.oneof(valuesOf(schema), anyJson, nearBounds(schema));
      const agree = (value: unknown): void => {
        if (remedy === undefined && (allows(value) || !CHECKED_INSIDE.includes(name)))
          expect(passes(value), `${name} of ${operations}: ${JSON.stringify(value)}`).toBe(allows(value));
      };
      fc.assert(fc.property(values, agree), { numRuns: 60, seed: 1 });
    }
});

test("messages and tools that the schema allows are accepted", () => {
  const { properties } = bodySchema("chat") as { properties: Record<string, object> };
  const accepted = (messages: unknown, tools: unknown): void => {
    expect(() => checkTools(checkMessages({ messages, tools }))).not.toThrow();
  };
  // A strict tool's parameters are JSON Schema, which has rules of its own.
  const tools = valuesOf(properties["tools"] as never).map((list) =>
    JSON.parse(JSON.stringify(list ?? []).replaceAll('"strict":true', '"strict":false')),
  );
  fc.assert(fc.property(valuesOf(properties["messages"] as never), tools, accepted), { numRuns: 300, seed: 1 });
});

const operations: readonly Operation[] = ["chat", "completion", "embedding", "speech"];
test.each(operations)("a %s body of what must be there is accepted", (operation) => {
  const { required, properties } = bodySchema(operation) as {
    required: readonly string[];
    properties: Record<string, object>;
  };
  const body = valuesOf({
    type: "object",
    required,
    properties: Object.fromEntries(required.map((name) => [name, properties[name]])),
  });
  fc.assert(
    fc.property(body, (json) => {
      expect(() => checkFields(operation, json as never)).not.toThrow();
    }),
    { numRuns: 100, seed: 1 },
  );
});
