import { expect, test } from "vitest";
import { model, World } from "./support.ts";

test("a request for an absent model starts it and is served when it is ready", () => {
  const world = new World([model("a")]);
  const request = world.arrive("a");
  expect(world.starting()).toEqual(["a@cpu"]);
  expect(world.status(request)).toBe("waiting");
  expect(world.all("waiting")[0]?.wait).toMatchObject({ reason: "loading", place: 1 });
  world.up("a@cpu");
  expect(world.instanceOf(request)).toBe("a@cpu");
});

test("however many requests arrive for an absent model, it is started once", () => {
  const world = new World([model("a", { replicas: 4 })]);
  for (let count = 0; count < 50; count++) world.arrive("a");
  expect(world.all("start")).toHaveLength(1);
});

test("an instance never gets more requests than it has slots; a finished one makes room for the next", () => {
  const world = new World([model("a", { slots: 2 })]);
  const [first, second, third] = [world.arrive("a"), world.arrive("a"), world.arrive("a")];
  world.up("a@cpu");
  expect([first, second, third].map((id) => world.status(id))).toEqual(["running", "running", "waiting"]);
  world.finish(first);
  expect(world.status(third)).toBe("running");
});

test("a ready instance with a free slot takes a request in the same decision, and tells nobody to wait", () => {
  const world = new World([model("a")]);
  world.warm("a");
  const before = world.all("waiting").length;
  const effects = world.post({
    type: "arrived",
    facts: {
      id: "x",
      model: "a",
      tenant: "t",
      priority: 0,
      promptTokens: 5,
      maxTokens: 5,
      prefix: [],
      deadlineAt: null,
    },
  });
  expect(effects.map((effect) => effect.type)).toEqual(["dispatch"]);
  expect(world.all("waiting")).toHaveLength(before);
});

test("a model that is not configured is refused by name", () => {
  const world = new World([model("a")]);
  expect(world.refusalOf(world.arrive("b"))?.code).toBe("model_not_found");
});

test("a request id that is in use is refused and leaves the first request alone", () => {
  const world = new World([model("a")]);
  const first = world.arrive("a", { id: "same" });
  const effects = world.post({
    type: "arrived",
    facts: {
      id: "same",
      model: "a",
      tenant: "t",
      priority: 0,
      promptTokens: 5,
      maxTokens: 5,
      prefix: [],
      deadlineAt: null,
    },
  });
  expect(effects).toMatchObject([{ type: "reject", refusal: { code: "internal" } }]);
  world.requests.set(first, { status: "waiting" });
  world.up("a@cpu");
  expect(world.status(first)).toBe("running");
});
