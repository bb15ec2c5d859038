import { afterAll, beforeAll, expect, test } from "vitest";
import type { DaemonStatus } from "../../src/api/status.ts";
import { eventually, installAssistant, type TestAssistant } from "../support/assistant.ts";
import { chatModelFile } from "../support/model-files.ts";
import { chatModelToml } from "../support/models.ts";
import { nativeEngineConfig } from "../support/native-engine.ts";
import { grpcClient } from "../support/nodes.ts";

// Three daemons with real engines: one has no model, the two others have the same.
let front: TestAssistant;
let url: string;
const back: TestAssistant[] = [];
const grpc: string[] = [];

beforeAll(async () => {
  const model = chatModelToml(await chatModelFile(), "llama-server");
  for (let index = 0; index < 2; index++) {
    const assistant = await installAssistant({
      env: { ASSISTANT_GRPC_ADDR: "127.0.0.1:0" },
      models: { smol: model },
      config: nativeEngineConfig(),
    });
    back.push(assistant);
    await assistant.serve();
    grpc.push((await assistant.status()).grpc ?? "");
  }
  const remotes = grpc.map(
    (address, index) => `[[remote_servers]]\nname = "back-${index}"\ngrpc_addr = "${address}"\n`,
  );
  front = await installAssistant({ config: remotes.join("\n") });
  url = await front.serve();
  await eventually("both are up", async () => (await front.status()).nodes?.every(({ state }) => state === "up"));
});
afterAll(async () => {
  await Promise.all([front, ...back].map((assistant) => assistant?.[Symbol.asyncDispose]()));
});

const ask = (prompt: string, options: object = {}, signal?: AbortSignal): Promise<Response> =>
  fetch(`${url}/v1/chat/completions`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ model: "smol", temperature: 0, messages: [{ role: "user", content: prompt }], ...options }),
    ...(signal ? { signal } : {}),
  });

const working = async (assistant: TestAssistant): Promise<number> => {
  const { instances }: DaemonStatus = await assistant.status();
  return instances.reduce((sum, { inFlight }) => sum + inFlight, 0);
};

test("a real answer comes through another machine as its own engine gives it", async () => {
  const through = (await (await ask("Name three rivers.", { max_tokens: 12, seed: 1 })).json()) as {
    choices: { message: { content: string } }[];
    usage: object;
  };
  using client = await grpcClient(grpc[0] ?? "");
  const body = Buffer.from(
    JSON.stringify({
      model: "smol",
      temperature: 0,
      seed: 1,
      max_tokens: 12,
      messages: [{ role: "user", content: "Name three rivers." }],
    }),
  );
  const direct = JSON.parse(
    (await client.forward({ path: "/v1/chat/completions", body })).body.toString(),
  ) as typeof through;
  expect(through.choices[0]?.message.content).toBe(direct.choices[0]?.message.content);
  expect(through.usage).toMatchObject({ completion_tokens: 12 });
});

test("a stream through another machine comes token by token, and stops there when its client leaves", async () => {
  const abort = new AbortController();
  const response = await ask(
    "Write a very long story.",
    { max_tokens: 1_500, stream: true, ignore_eos: true },
    abort.signal,
  );
  expect(response.headers.get("x-assistant-instance")).toMatch(/^remote:back-/);
  const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader();
  let seen = "";
  let reads = 0;
  while ((seen.match(/"content":"/g) ?? []).length < 10) {
    seen += (await reader?.read())?.value ?? "";
    reads += 1;
  }
  // A late reader receives several tokens at once, but these came while the engine was computing the rest.
  expect(reads).toBeGreaterThan(1);
  expect((await Promise.all(back.map(working))).toSorted()).toEqual([0, 1]);
  abort.abort();
  await reader?.closed.catch(() => {});
  await eventually(
    "both engines are idle",
    async () => (await Promise.all(back.map(working))).every((count) => count === 0),
    10_000,
  );
});

test("the machine that is killed is seen in `node list`, and the other one goes on answering", async () => {
  process.kill((await back[0]?.status())?.pid ?? -1, "SIGKILL");
  const answers = await Promise.all([1, 2, 3].map((number) => ask(`Say ${number}.`, { max_tokens: 6 })));
  for (const answer of answers) {
    expect(answer.status).toBe(200);
    expect(answer.headers.get("x-assistant-instance")).toBe("remote:back-1");
    await answer.text();
  }
  const listed = await front.run(["node", "list"]);
  expect(listed.stdout).toMatch(/^back-0 .* down /m);
  expect(listed.stdout).toMatch(/^back-1 .* up /m);
});
