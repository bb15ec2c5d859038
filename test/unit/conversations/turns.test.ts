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
const within = (maxItems: number, maxBytes = LARGE, maxTurnBytes = LARGE) => ({ maxItems, maxBytes, maxTurnBytes });

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
  expect(idsOf(newest(items, itself, within(5)))).toEqual(["s", "d", "e"]);
  expect(idsOf(newest(items, itself, within(7)))).toEqual(idsOf(items));
});

test("a last turn that is too long loses its oldest items, and no output stays without its call", () => {
  const items = [user("a"), call("c"), output("c"), answer("b")];
  expect(idsOf(newest(items, itself, within(3)))).toEqual(["c", "c-out", "b"]);
  expect(idsOf(newest(items, itself, within(2)))).toEqual(["b"]);
});

test("bytes count, and the last turn stays whatever it has", () => {
  const items = [user("a".repeat(600)), user("b".repeat(600)), user("c".repeat(6_000))];
  expect(newest(items, itself, within(10, 3_000))).toEqual(items.slice(2));
  expect(newest(items.slice(0, 2), itself, within(10, 3_000))).toHaveLength(2);
});

test("neither instructions nor a last turn grow without limit", () => {
  const rules = Array.from({ length: 20 }, (_, index) => system(`s${index}`));
  expect(idsOf(newest([...rules, user("a")], itself, within(3)))).toEqual(["s18", "s19", "a"]);
  expect(idsOf(newest([...rules, user("a"), answer("b")], itself, within(1)))).toEqual(["s19", "b"]);
  expect(newest(rules, itself, within(100, 500)).length).toBeLessThan(6);
  const turn = [user("a"), ...Array.from({ length: 20 }, (_, index) => answer(`b${index}`))];
  expect(idsOf(newest(turn, itself, within(100, 500, 500))).at(-1)).toBe("b19");
  expect(newest(turn, itself, within(100, 500, 500)).length).toBeLessThan(6);
});
