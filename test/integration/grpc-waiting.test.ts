import { afterEach, expect, test } from "vitest";
import { eventually } from "../support/assistant.ts";
import { ask, type FakeInstallation, installFakes } from "../support/fake-installation.ts";
import { allUp, NodeGroup } from "../support/nodes.ts";

/** What a client of machine A sees while a model loads on machine B. */
const nodes = new NodeGroup();
const { start } = nodes;
let loaders: FakeInstallation[] = [];
afterEach(async () => {
  await nodes.end();
  await Promise.all(loaders.map((loader) => loader[Symbol.asyncDispose]()));
  loaders = [];
});

/** A machine whose engine takes `startDelayMs` to load. Resolves with its gRPC address. */
async function loader(startDelayMs: number): Promise<string> {
  const machine = await installFakes({
    models: { river: { knobs: { startDelayMs } } },
    env: { ASSISTANT_GRPC_ADDR: "127.0.0.1:0" },
  });
  loaders.push(machine);
  await machine.serve();
  return (await machine.state()).grpc ?? "";
}

test("a stream through another machine shows that the model loads there, then the answer", async () => {
  const a = await start({ remotes: [{ name: "b", grpc: await loader(2_600) }] });
  await allUp(a);
  const { text, headers } = await ask(a.url, "river", "hello", { stream: true });
  expect(headers.get("x-assistant-instance")).toBe("remote:b");
  expect(text).toMatch(/^: waiting for the model to load/m);
  expect(text.trimEnd().endsWith("data: [DONE]")).toBe(true);
});

test("a machine that dies while it loads a model costs nobody an answer, streamed or not", async () => {
  const [b, c] = [await loader(60_000), await loader(0)];
  const a = await start({
    remotes: [
      { name: "b", grpc: b, extra: "weight = 9" },
      { name: "c", grpc: c, extra: "weight = 1" },
    ],
  });
  await allUp(a);
  const answers = [true, false].map((stream) => ask(a.url, "river", "hello", { stream }));
  await eventually("both wait over there", async () => (await loaders[0]?.state())?.queued === 2);
  // Long enough for a sign of life to have come through.
  await eventually("they have waited a while", async () => ((await a.nodes())[0]?.firstByteMs ?? 0) > 0, 10_000);
  process.kill((await loaders[0]?.state())?.pid ?? -1, "SIGKILL");
  const [streamed, whole] = await Promise.all(answers);
  expect([streamed?.status, whole?.status]).toEqual([200, 200]);
  expect(streamed?.text).toContain("[DONE]");
  expect(whole?.text).toContain("word");
  for (const answer of [streamed, whole]) expect(answer?.text).not.toContain("error");
});
