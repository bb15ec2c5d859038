import { expect, test } from "vitest";
import type { RemoteCandidate } from "../../../src/core/remote.ts";
import type { Pause } from "../../../src/core/request.ts";
import { model, World } from "./support.ts";
import { forwarded, node, tell } from "./support-remotes.ts";

const served = (name: string, providers: readonly string[]) =>
  model(name, {
    nodes: providers,
    replicas: 0,
    source: { type: "provider", offers: providers.map((provider) => ({ provider, model: name })) },
  });

const cloud = (name = "cloud", changes: Partial<RemoteCandidate> = {}): RemoteCandidate => ({
  ...node(name, { slots: 4 }, ["a", "b"]),
  nodeId: "",
  maxInFlight: 4,
  ...changes,
});

test("a model of a file that a provider serves starts nothing here, and a reload leaves it", () => {
  const world = new World([served("a", ["cloud"])]);
  tell(world, [cloud()]);
  const id = world.arrive("a");
  expect(forwarded(world)).toEqual({ [id]: "cloud" });
  expect(world.starting()).toEqual([]);
  tell(world, [cloud()]);
  expect(goesTo(world, world.arrive("a"))).toBe("cloud");
});

test("most requests at once are counted over all models of a provider, and whoever waits for any of them goes next", () => {
  const world = new World([served("a", ["cloud"]), served("b", ["cloud"])]);
  tell(world, [cloud("cloud", { maxInFlight: 2 })]);
  const first = world.arrive("a");
  world.arrive("a");
  const waiting = world.arrive("b");
  expect(world.status(waiting)).toBe("waiting");
  world.finish(first);
  expect(goesTo(world, waiting)).toBe("cloud");
});

test("providers of one model share its requests by weight", () => {
  const world = new World([served("a", ["cloud", "other"])]);
  tell(world, [cloud("cloud", { weight: 3 }), cloud("other", { weight: 1 })]);
  for (let index = 0; index < 8; index++) world.finish(world.arrive("a"));
  const targets = Object.values(forwarded(world));
  expect(targets.filter((name) => name === "cloud")).toHaveLength(6);
});

const goesTo = (world: World, id: string): string | undefined => forwarded(world)[id];

const pause = (ms: number): Pause => ({ ms, code: "provider_busy", message: "slow down", remedy: "Try again later." });

test("a short wish to be left alone is waited for", () => {
  const world = new World([served("a", ["cloud"])]);
  tell(world, [cloud()]);
  world.finish(world.arrive("a"), { end: "engine-error", pause: pause(3_000) });
  const next = world.arrive("a");
  expect(world.status(next)).toBe("waiting");
  world.advance(2_900);
  expect(world.status(next)).toBe("waiting");
  world.advance(200);
  expect(goesTo(world, next)).toBe("cloud");
});

test("a long one is an answer: in the provider's words, with the rest of the wait", () => {
  const world = new World([served("a", ["cloud"])]);
  tell(world, [cloud()]);
  world.finish(world.arrive("a"), { end: "engine-error", pause: pause(60_000) });
  const next = world.arrive("a");
  expect(world.requests.get(next)).toMatchObject({
    status: "rejected",
    refusal: { code: "provider_busy", message: "slow down", remedy: "Try again later.", retryAfterS: 60 },
  });
  world.advance(60_000);
  expect(goesTo(world, world.arrive("a"))).toBe("cloud");
});

test("while one provider is left alone the other serves", () => {
  const world = new World([served("a", ["cloud", "other"])]);
  tell(world, [cloud("cloud", { weight: 1 }), cloud("other", { weight: 0 })]);
  const first = world.arrive("a");
  world.finish(first, { end: "engine-error", pause: pause(60_000) });
  const next = world.arrive("a");
  expect(forwarded(world)).toEqual({ [first]: "cloud", [next]: "other" });
});

test("why a provider is down is what requests are told", () => {
  const world = new World([served("a", ["cloud"])]);
  const down = { code: "provider_rejected_key", message: "bad key", remedy: "Set it." } as const;
  tell(world, [cloud("cloud", { up: false, down })]);
  expect(world.requests.get(world.arrive("a"))).toMatchObject({ status: "rejected", refusal: down });
});

test("a provider that is not in use is named", () => {
  const world = new World([served("a", ["cloud"])]);
  expect(world.requests.get(world.arrive("a"))).toMatchObject({
    status: "rejected",
    refusal: { code: "provider_unavailable", message: expect.stringContaining('"cloud"') },
  });
});
