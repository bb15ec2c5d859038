import { expect, test } from "vitest";
import { HistoryWindow, type TokenCounter } from "../../../src/conversations/history.ts";
import { type Item, textMessage } from "../../../src/conversations/item.ts";
import type { StoredItem } from "../../../src/conversations/record.ts";
import { overflow, promptBudget } from "../../../src/conversations/window.ts";
import { Cancellation } from "../../../src/core/cancellation.ts";
import { testModel } from "../../support/fake-engine.ts";

const model = testModel({ name: "river", load: { ...testModel({}).load, contextTokens: 1_000 } });
const origin = {
  caller: { tenant: "ann", models: null },
  cancellation: new Cancellation(),
  route: "/",
  priority: 50,
  deadlineAt: null,
};
const ask = { model, added: [], systemPrompt: null, tools: null, maxTokens: 200, origin };
const stored = (item: Item): StoredItem => ({ at: 1, item });
const say = (id: string, characters: number, role = "user"): StoredItem =>
  stored(textMessage(id, role, "x".repeat(characters)));
const idsOf = (items: readonly Item[]): string[] => items.map(({ id }) => id);
/** A token for each four characters. */
const counter =
  (asked: (readonly string[])[] = []): TokenCounter =>
  async (_, texts) => {
    asked.push(texts);
    return texts.map((text) => Math.ceil(text.length / 4));
  };

test("the answer gets its limit, or a quarter of the context, and never more than half", () => {
  expect(promptBudget(1_000, 200)).toBe(800);
  expect(promptBudget(1_000, null)).toBe(750);
  expect(promptBudget(1_000, 2_048)).toBe(500);
});

test("what overflows goes in steps, so that the next turns have the same beginning", () => {
  const turns = [100, 100, 100, 100, 100, 100, 100, 100, 100];
  expect(overflow({ fixed: 0, turns: turns.slice(0, 8) }, 800, false)).toBe(0);
  expect([0, 40, 90].map((more) => overflow({ fixed: more, turns }, 800, false))).toEqual([1, 2, 2]);
  expect(overflow({ fixed: 900, turns: [100, 100] }, 800, false)).toBe(2);
  expect(overflow({ fixed: 900, turns: [100, 100] }, 800, true)).toBe(1);
});

test("nothing is counted that fits by its bytes", async () => {
  const asked: (readonly string[])[] = [];
  const window = new HistoryWindow(counter(asked));
  expect(idsOf(await window.fitting([say("a", 300), say("b", 300)], ask))).toEqual(["a", "b"]);
  expect(asked).toEqual([]);
});

test("what does not fit by its bytes is counted once, and stays where its tokens fit", async () => {
  const asked: (readonly string[])[] = [];
  const window = new HistoryWindow(counter(asked));
  const items = [say("a", 1_000), say("b", 1_000)];
  expect(idsOf(await window.fitting(items, ask))).toEqual(["a", "b"]);
  expect(idsOf(await window.fitting([...items, say("c", 200)], ask))).toEqual(["a", "b", "c"]);
  expect(asked.map((texts) => texts.length)).toEqual([2]);
});

test("the system prompt and the newest turns stay, a result never without its call", async () => {
  const window = new HistoryWindow(async () => null);
  const call = stored({ type: "function_call", id: "c", call_id: "1", name: "look", arguments: "{}" });
  const output = stored({ type: "function_call_output", id: "o", call_id: "1", output: "x".repeat(300) });
  const items = [say("s", 50, "system"), say("a", 300), call, output, say("b", 100, "assistant"), say("d", 100)];
  expect(idsOf(await window.fitting(items, ask))).toEqual(["s", "d"]);
  // What is new is the result of a call of the last turn.
  const [, , , ...rest] = [say("s", 50, "system"), say("a", 300), say("b", 900), say("d", 100), call];
  const added = [{ type: "function_call_output", id: "n", call_id: "1", output: "x".repeat(900) }];
  expect(idsOf(await window.fitting(rest, { ...ask, added }))).toEqual(["d", "c"]);
});

test("where nothing can be counted the bytes hold, and an unknown context takes all", async () => {
  const failing = new HistoryWindow(() => Promise.reject(new Error("no engine")));
  const items = [say("a", 500), say("b", 500)];
  expect(idsOf(await failing.fitting(items, ask))).toEqual(["b"]);
  const unknown = { ...model, load: { ...model.load, contextTokens: 0 } };
  expect(idsOf(await failing.fitting(items, { ...ask, model: unknown }))).toEqual(["a", "b"]);
});
