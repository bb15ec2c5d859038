import { expect, test } from "vitest";
import { list } from "../../../src/config/schema/kit.ts";
import { Type } from "../../../src/core/schema.ts";
import { checkedBody } from "../../../src/gateway/front/checked-body.ts";
import { TaskBody } from "../../../src/tasks/body.ts";

const Body = Type.Object({
  name: Type.Optional(Type.String({ minLength: 1, maxLength: 3 })),
  note: Type.Optional(Type.String({ maxLength: 3 })),
  names: list(Type.String(), "Names.", { maxItems: 2 }),
  rows: list(Type.Object({ id: Type.Optional(Type.String()) }), "Rows.", { maxItems: 1 }),
});

test.each([
  [Body, { name: "four" }, 'name: expected a string of 1 to 3 characters, found "four".'],
  [Body, { note: "four" }, 'note: expected a string of at most 3 characters, found "four".'],
  [Body, { names: ["a", "b", "c"] }, "names: expected an array of at most 2 items, each a string, found an array."],
  [Body, { rows: [{}, {}] }, "rows: expected an array of at most 1 tables, found an array."],
  [TaskBody, { fallback_models: Array(17).fill("river") }, "fallback_models: expected an array of at most 16 items"],
  [TaskBody, { webhook_url: `https://${"a".repeat(2_000)}` }, "webhook_url: expected a string of 1 to 2000 characters"],
])("what is longer than the schema allows is refused: %#", (schema, body, message) => {
  expect(() => checkedBody(schema, body)).toThrow(message);
});

test("what is as long as the schema allows is taken", () => {
  const body = { name: "abc", note: "", names: ["a", "b"], rows: [{}] };
  expect(checkedBody(Body, body)).toBe(body);
});
