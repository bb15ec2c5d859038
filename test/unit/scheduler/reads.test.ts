import { expect, test } from "vitest";
import { cpu, gpu, model, World } from "./support.ts";

const busy = (): World => {
  const world = new World([model("a", { preload: true, slots: 2 })], { devices: [gpu(0), cpu()] });
  for (const id of world.starting()) world.up(id);
  for (let count = 0; count < 3; count++) world.arrive("a", { promptTokens: 100 });
  return world;
};
const READ = { promptTokens: 0, maxTokens: 0, slotless: true } as const;

test("what takes no slot is answered at once although all slots are busy and others wait", () => {
  const world = busy();
  const chat = world.arrive("a", { promptTokens: 1 });
  const read = world.arrive("a", READ);
  expect([world.status(chat), world.status(read)]).toEqual(["waiting", "running"]);
});

test("it keeps no slot from anybody", () => {
  const world = new World([model("a", { preload: true, slots: 1 })], { devices: [gpu(0), cpu()] });
  for (const id of world.starting()) world.up(id);
  const reads = [world.arrive("a", READ), world.arrive("a", READ)];
  const chat = world.arrive("a", { promptTokens: 1 });
  expect([...reads, chat].map((id) => world.status(id))).toEqual(["running", "running", "running"]);
});

test("its instance is not stopped under it, and it says nothing about how long requests take", () => {
  const world = new World([model("a", { preload: true, slots: 1 })], { devices: [gpu(0), cpu()] });
  for (const id of world.starting()) world.up(id);
  const read = world.arrive("a", READ);
  const [instance = ""] = world.instancesOf("a");
  world.operate("drain", { instance });
  expect(world.status(read)).toBe("running");
  world.now += 5_000;
  world.finish(read, { promptTokens: null, completionTokens: null, promptMs: null, completionMs: null });
  expect(world.state.models.get("a")?.holdMs.value).toBeNull();
});

test("without an instance it loads the model, and then waits behind nobody", () => {
  const world = new World([model("a", { slots: 1 })], { devices: [gpu(0), cpu()] });
  const chats = [world.arrive("a", { promptTokens: 1 }), world.arrive("a", { promptTokens: 1 })];
  const read = world.arrive("a", READ);
  expect(world.status(read)).toBe("waiting");
  for (const id of world.starting()) world.up(id);
  expect([...chats, read].map((id) => world.status(id))).toEqual(["running", "waiting", "running"]);
  expect(world.state.models.get("a")?.waitingReads.size).toBe(0);
});

test("a full queue refuses no such request while an instance is up", () => {
  const world = busy();
  world.reload({ settings: { ...world.config.settings, maxQueuedPerModel: 1 } });
  const chat = world.arrive("a", { promptTokens: 1 });
  expect([world.status(chat), world.status(world.arrive("a", READ))]).toEqual(["rejected", "running"]);
});
