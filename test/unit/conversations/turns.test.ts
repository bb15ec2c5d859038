import { expect, test } from "vitest";
import { type Item, textMessage } from "../../../src/conversations/item.ts";
import { newest, turnsOf } from "../../../src/conversations/turns.ts";

const user = (text: string): Item => textMessage(text, "user", text);
const answer = (text: string): Item => textMessage(text, "assistant", text);
const system = (text: string): Item => textMessage(text, "system", text);
const call = (id: string): Item => ({ type: "function_call", id, call_id: id, name: "look", arguments: "{}" });
const output = (id: string): Item => ({ type: "function_call_output", id: `${id}-out`, call_id: id, output: "4" });
const itself = (item: Item): Item => item;
const idsOf = (items: readonly Item[]): string[] => items.map(({ id }) => id);
const LARGE = 1e6;

test("a turn is what the user says and all that follows", () => {
  const { instructions, turns } = turnsOf(
    [system("s"), user("a"), call("c"), output("c"), answer("b"), user("d")],
    itself,
  );
  expect(idsOf(instructions)).toEqual(["s"]);
  expect(turns.map(idsOf)).toEqual([["a", "c", "c-out", "b"], ["d"]]);
});

test("whole turns go, and the instructions stay", () => {
  const items = [system("s"), user("a"), call("c"), output("c"), answer("b"), user("d"), answer("e")];
  expect(idsOf(newest(items, itself, { maxItems: 5, maxBytes: LARGE }))).toEqual(["s", "d", "e"]);
  expect(idsOf(newest(items, itself, { maxItems: 7, maxBytes: LARGE }))).toEqual(idsOf(items));
});

test("a last turn that is too long loses its oldest items, and no output stays without its call", () => {
  const items = [user("a"), call("c"), output("c"), answer("b")];
  expect(idsOf(newest(items, itself, { maxItems: 3, maxBytes: LARGE }))).toEqual(["c", "c-out", "b"]);
  expect(idsOf(newest(items, itself, { maxItems: 2, maxBytes: LARGE }))).toEqual(["b"]);
});

test("bytes count, and the last turn stays whatever it has", () => {
  const items = [user("a".repeat(600)), user("b".repeat(600)), user("c".repeat(6_000))];
  expect(newest(items, itself, { maxItems: 10, maxBytes: 3_000 })).toEqual(items.slice(2));
  expect(newest(items.slice(0, 2), itself, { maxItems: 10, maxBytes: 3_000 })).toHaveLength(2);
});
