import TypeBox from "typebox";
import { expect, test } from "vitest";
import { Type } from "../../../src/core/schema.ts";

const sample = (builders: typeof Type) =>
  builders.Object(
    {
      name: builders.String({ description: "a name", minLength: 1 }),
      size: builders.Optional(
        builders.Union([builders.Integer({ minimum: 1 }), builders.Literal("auto"), builders.Null()], {
          default: "auto",
        }),
      ),
      kind: builders.Optional(builders.Enum(["chat", "embedding"], { default: "chat" })),
      parts: builders.Array(
        builders.Object({ share: builders.Number({ exclusiveMinimum: 0 }), on: builders.Boolean() }),
      ),
      literals: builders.Union([builders.Literal(1), builders.Literal(true)]),
      rest: builders.Optional(builders.Object({}, { additionalProperties: false })),
      any: builders.Record(builders.String(), builders.Number(), { description: "by name" }),
      some: builders.Record(builders.String({ pattern: "^a" }), builders.Boolean(), { additionalProperties: false }),
      optional: builders.Object({ only: builders.Optional(builders.Boolean()) }),
    },
    { additionalProperties: false },
  );

test("schemas are those that typebox makes", () => {
  expect(JSON.stringify(sample(Type))).toBe(JSON.stringify(sample(TypeBox)));
});
