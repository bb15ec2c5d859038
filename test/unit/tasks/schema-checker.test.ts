import { afterAll, expect, test } from "vitest";
import { type Clock, systemClock } from "../../../src/core/clock.ts";
import { SchemaChecker, TIMEOUT_MS } from "../../../src/tasks/schema/checker.ts";

const checker = new SchemaChecker();
afterAll(() => checker.close());

const person = { type: "object", properties: { age: { type: "integer" } }, required: ["age"] };

test.each([
  [person, '{"age": 3}', null],
  [person, '{"age": "three"}', "the answer does not match: /age must be integer"],
  [person, "three", "the answer is not JSON"],
  [{ $ref: "#/$defs/a", $defs: { a: { type: "string" } } }, '"x"', null],
  [{ $schema: "http://json-schema.org/draft-07/schema#", items: [{ type: "string" }] }, "[1]", "/0 must be string"],
  [{ type: "nonsense" }, null, "the JSON Schema cannot be used"],
  [{ ...person, $async: true }, "{}", "the answer does not match: it must have required property 'age'"],
])("%j of %s: %s", async (schema, text, problem) => {
  const found = await checker.check(schema, text);
  if (problem === null) expect(found).toBeNull();
  else expect(found).toContain(problem);
});

test("a pattern that takes for ever is given up, and the next check works", async () => {
  const never = { cancel() {}, [Symbol.dispose]() {} };
  let checks = 0;
  // Time passes for the first one alone.
  const after: Clock["after"] = (delayMs, callback) =>
    delayMs === TIMEOUT_MS && ++checks === 1 ? systemClock.after(50, callback) : never;
  const impatient = new SchemaChecker({ ...systemClock, after });
  const found = await impatient.check({ type: "string", pattern: "^(a+)+$" }, JSON.stringify(`${"a".repeat(40)}!`));
  expect(found).toContain(`takes longer than ${TIMEOUT_MS / 1000} s`);
  expect(await impatient.check(person, null)).toBeNull();
  impatient.close();
});
