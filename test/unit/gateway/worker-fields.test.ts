import { expect, test } from "vitest";
import { formFields, historiesField } from "../../../src/gateway/doors/worker-framework/fields.ts";

test("a form has as many fields as any client of workers needs, and no more", () => {
  expect(formFields("name=echo&history_id=7")).toEqual({ name: "echo", history_id: "7" });
  expect(() => formFields("a=b&".repeat(100_000))).toThrow("The form must have at most 100 fields.");
});

test("an abort names as many chats as fit in one look at all reservations", () => {
  expect(historiesField({ history_id: "[7,8]" })).toEqual([7, 8]);
  expect(() => historiesField({ history_id: Array(1_001).fill(7) })).toThrow("a list of at most 1000 ids");
});
