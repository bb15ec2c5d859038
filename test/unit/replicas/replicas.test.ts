import { expect, test } from "vitest";
import type { RemoteDelta } from "../../../src/core/remote.ts";
import { type Held, Replicas } from "../../../src/replicas/replicas.ts";

const deltas: RemoteDelta[] = [];
const make = () => {
  deltas.length = 0;
  return new Replicas({ isTaken: () => false, onChange: (delta) => deltas.push(delta), log: () => {} });
};
const register = (replicas: Replicas, replicaId: string, type: string, slots = 2): Held =>
  replicas.register({ replicaId, endpoint: "127.0.0.1:9", capabilities: [{ type }], slots });
const turn = () => new Promise((resolve) => setImmediate(resolve));
const brief = ({ candidates, gone, models, lostModels }: RemoteDelta) => ({
  candidates: candidates.map(({ name }) => name),
  gone,
  models: models.map(({ name, load }) => [name, load.slots]),
  lostModels,
});

test("a registration reports itself alone, however many there are", async () => {
  const replicas = make();
  for (let index = 0; index < 100; index += 1) register(replicas, `r${index}`, `t${index % 10}`);
  await turn();
  register(replicas, "new", "t3");
  await turn();
  expect(deltas.slice(1).map(brief)).toEqual([
    { candidates: ["replica/new"], gone: [], models: [["t3", 22]], lostModels: [] },
  ]);
});

test("a handler is lost with the last replica that has it", async () => {
  const replicas = make();
  const [one, two] = [register(replicas, "one", "echo"), register(replicas, "two", "echo")];
  await turn();
  one.leave();
  await turn();
  two.leave();
  await turn();
  expect(deltas.slice(1).map(brief)).toEqual([
    { candidates: [], gone: ["replica/one"], models: [["echo", 2]], lostModels: [] },
    { candidates: [], gone: ["replica/two"], models: [], lostModels: ["echo"] },
  ]);
});

test("one that takes the place of another changes it, and what both have is never lost", async () => {
  const replicas = make();
  const first = register(replicas, "one", "echo");
  await turn();
  register(replicas, "one", "echo", 5);
  first.leave();
  await turn();
  expect(deltas.slice(1).map(brief)).toEqual([
    { candidates: ["replica/one"], gone: [], models: [["echo", 5]], lostModels: [] },
  ]);
});

test("a handler whose name a configured model takes is offered no longer", async () => {
  const replicas = make();
  register(replicas, "one", "echo");
  replicas.models(new Set(["echo"]));
  await turn();
  expect(deltas.map(brief)).toEqual([{ candidates: ["replica/one"], gone: [], models: [], lostModels: [] }]);
  expect(deltas[0]?.candidates[0]?.models.size).toBe(0);
});
