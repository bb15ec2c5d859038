import { expect, test } from "vitest";
import type { RemoteCandidate } from "../../../src/core/remote.ts";
import { preferred } from "../../../src/scheduler/preference.ts";
import { model, World } from "./support.ts";
import { forwarded, node, tell } from "./support-remotes.ts";

const NO_PROMPT = { promptTokens: 10, prefix: [] };

test("a model with a free slot comes before a busy one, and that before one that must be loaded", () => {
  const world = new World([model("cold"), model("busy", { slots: 1 }), model("free", { slots: 1 })]);
  world.warm("busy");
  world.warm("free");
  world.arrive("busy");
  expect(preferred(world.state, ["cold", "busy", "free"], NO_PROMPT)).toEqual(["free", "busy", "cold"]);
});

test("of two with room, the one that has more of the prompt cached, then the one with less work", () => {
  const world = new World([model("a", { slots: 4 }), model("b", { slots: 4 })]);
  world.warm("a");
  world.warm("b");
  const prefix = [{ hash: "p", tokens: 1000 }];
  world.finish(world.arrive("b", { promptTokens: 1000, prefix }), { promptTokens: 1000 });
  expect(preferred(world.state, ["a", "b"], { promptTokens: 1000, prefix })).toEqual(["b", "a"]);
  world.arrive("a");
  expect(preferred(world.state, ["a", "b"], NO_PROMPT)).toEqual(["b", "a"]);
});

const offering = (name: string, gpus: number): RemoteCandidate => {
  const candidate = node(name, { slots: 1 });
  const models = [...candidate.models].map(([id, facts]) => [id, { ...facts, capabilities: { gpus } }] as const);
  return { ...candidate, models: new Map(models) };
};

test("a request goes to a node that offers what it asks for, and waits for that one alone", () => {
  const world = new World([]);
  tell(world, [offering("one", 1), offering("two", 2)], ["a"]);
  const capabilities = { gpus: "2" };
  const first = world.arrive("a", { capabilities });
  const second = world.arrive("a", { capabilities });
  const other = world.arrive("a");
  expect(forwarded(world)).toEqual({ [first]: "two", [other]: "one" });
  expect(world.status(second)).toBe("waiting");
  world.finish(first);
  expect(forwarded(world)[second]).toBe("two");
});
