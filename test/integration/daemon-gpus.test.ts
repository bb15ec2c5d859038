import { mkdtemp, rm, symlink } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { eventually, packageRoot } from "../support/assistant.ts";
import { callEngine, engineRecord } from "../support/fake-engine.ts";
import { type Answer, ask, type FakeInstallation, fake, installFakes, open } from "../support/fake-installation.ts";

/** A machine with two GPUs, in the eyes of a fake nvidia-smi, on which the one model runs by default. */
let assistant: FakeInstallation;
let tools: string;
let url: string;
beforeEach(async () => {
  tools = await mkdtemp(join(tmpdir(), "assistant-gpus-"));
  await symlink(join(packageRoot, "test/fakes/nvidia-smi"), join(tools, "nvidia-smi"));
  assistant = await installFakes({
    models: { river: { slots: 2 } },
    env: { PATH: `${tools}:${process.env["PATH"] ?? ""}`, FAKE_GPUS: "2" },
  });
  url = await assistant.serve();
});
afterEach(async () => {
  await assistant[Symbol.asyncDispose]();
  await rm(tools, { recursive: true, force: true });
});

const hold = (index: number): string => `story ${index} ${fake({ tokens: 100_000, decodeDelayMs: 10 })}`;
const inFlight = async (): Promise<Record<string, number>> =>
  Object.fromEntries(
    (await assistant.state()).instances
      .filter(({ state }) => state === "ready")
      .map(({ id, inFlight: count }) => [id, count]),
  );

/** The head of a stream comes while it still waits, so that the requests reach the engines later. */
const spread = (each: number): Promise<boolean> =>
  eventually(`each GPU has ${each}`, async () => {
    const { "river@cuda:0": first, "river@cuda:1": second, ...others } = await inFlight();
    return first === each && second === each && Object.keys(others).length === 0;
  });

test("a model that is busy on one GPU comes up on the other one too, and requests are spread over both", async () => {
  const leaving = new AbortController();
  const begin = (index: number): Promise<Response> =>
    open(url, "river", hold(index), { stream: true, signal: leaving.signal });
  const first = await Promise.all([begin(0), begin(1), begin(2), begin(3)]);
  expect(first.map(({ status }) => status)).toEqual([200, 200, 200, 200]);
  await spread(2);
  const devices = (await assistant.state()).instances.map(({ device }) => device).sort();
  expect(devices).toEqual(["cuda:0", "cuda:1"]);
  expect(await assistant.launches("river")).toBe(2);
  leaving.abort();
  await Promise.all(first.map((answer) => answer.text().catch(() => {})));
  await eventually("both are idle", async () => Object.values(await inFlight()).every((count) => count === 0));

  // Of two that come one after the other each has a GPU to itself.
  const again = new AbortController();
  const second = [4, 5].map((index) => open(url, "river", hold(index), { stream: true, signal: again.signal }));
  await Promise.all(second);
  await spread(1);
  again.abort();
});

test("a request whose engine dies before the first byte is answered by the other GPU's", async () => {
  const leaving = new AbortController();
  const held = await Promise.all(
    [0, 1, 2].map((index) => open(url, "river", hold(index), { stream: true, signal: leaving.signal })),
  );
  // Heads come while the other instance still starts; it would not if nobody waited for it any longer.
  await eventually("both are up", async () => Object.keys(await inFlight()).length === 2);
  leaving.abort();
  await Promise.all(held.map((answer) => answer.text().catch(() => {})));
  await eventually("both are idle", async () => Object.values(await inFlight()).join() === "0,0");
  const instances = (await assistant.state()).instances;
  // Whoever gets the next request will not survive it.
  for (const { endpoint } of instances.slice(0, 1)) await callEngine(endpoint ?? "", "/__knobs", { dieAfterTokens: 1 });
  const answers: Answer[] = [];
  // Which instance a request goes to is up to the scheduler: new prompts are spread over both, one that came before
  // goes where it is cached.
  const dead = await eventually("its death was seen", async () => {
    const round = answers.length;
    answers.push(...(await Promise.all([ask(url, "river", `${round} is one`), ask(url, "river", `${round} is two`)])));
    return (await assistant.state()).instances.find(({ lastDeath }) => lastDeath !== null);
  });
  expect(answers.map(({ status }) => status)).toEqual(answers.map(() => 200));
  expect(answers.map(({ headers }) => headers.get("x-assistant-instance"))).toEqual(
    answers.map(() => instances[1]?.id),
  );
  expect(dead.id).toBe(instances[0]?.id);
  expect((await engineRecord(instances[1]?.endpoint ?? "")).completed).toBeGreaterThanOrEqual(2);
});
