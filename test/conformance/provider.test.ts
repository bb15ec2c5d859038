import { type ChildProcess, spawn } from "node:child_process";
import OpenAI from "openai";
import { afterAll, beforeAll, expect, test } from "vitest";
import { eventually, installAssistant, type TestAssistant } from "../support/assistant.ts";
import { chatModelFile, embeddingModelFile } from "../support/model-files.ts";
import { nativeEngineFile } from "../support/native-engine.ts";
import { freeAddress } from "../support/nodes.ts";

/** llama-server over TCP, with a key: a provider that nobody here has written. */
const KEY = "sk-conformance";
const servers: ChildProcess[] = [];
let assistant: TestAssistant;
/** Through the daemon, and to the provider itself. */
let ours: OpenAI;
let theirs: OpenAI;
let address: string;

async function serve(model: string, name: string, more: readonly string[] = []): Promise<string> {
  const at = await freeAddress();
  const args = ["--host", "127.0.0.1", "--port", at.split(":")[1] ?? "", "--model", model, "--alias", name];
  servers.push(
    spawn(nativeEngineFile(), [...args, "--threads", "1", "--parallel", "1", "--api-key", KEY, ...more], {
      stdio: "ignore",
    }),
  );
  await eventually(
    `${name} is loaded`,
    async () => (await fetch(`http://${at}/health`).catch(() => null))?.ok === true,
  );
  return at;
}

beforeAll(async () => {
  const [chat, { model: embedding }] = await Promise.all([chatModelFile(), embeddingModelFile()]);
  address = await serve(chat, "smol", ["--ctx-size", "512"]);
  const vectors = await serve(embedding, "minilm-embed", ["--embeddings", "--pooling", "mean"]);
  const entry = (name: string, at: string, key: string): string =>
    `[[providers]]\nname = "${name}"\nbase_url = "http://${at}/v1"\napi_key_env = "${key}"\n`;
  assistant = await installAssistant({
    config: entry("chat", address, "KEY") + entry("vectors", vectors, "KEY") + entry("stranger", address, "WRONG_KEY"),
    models: {
      mine: '[chat]\nprovider = "chat"\nprovider_model = "smol"\n',
      odd: '[chat]\nprovider = "stranger"\nprovider_model = "smol"\n',
    },
    env: { KEY, WRONG_KEY: "sk-wrong" },
  });
  ours = new OpenAI({ baseURL: `${await assistant.serve()}/v1`, apiKey: "unused", maxRetries: 0 });
  theirs = new OpenAI({ baseURL: `http://${address}/v1`, apiKey: KEY, maxRetries: 0 });
});
afterAll(async () => {
  await assistant?.[Symbol.asyncDispose]();
  for (const server of servers) server.kill("SIGKILL");
});

const request = {
  messages: [{ role: "user" as const, content: "Name three rivers." }],
  max_tokens: 16,
  temperature: 0,
  seed: 7,
};

test("its models are discovered with what its list says of them", async () => {
  const { data } = await ours.models.list();
  expect(data.map(({ id, owned_by }) => [id, owned_by])).toEqual(
    expect.arrayContaining([
      ["mine", "chat"],
      ["chat/smol", "chat"],
      ["vectors/minilm-embed", "vectors"],
    ]),
  );
});

test("answers are those that it gives itself, whole and streamed, with usage", async () => {
  const direct = await theirs.chat.completions.create({ model: "smol", ...request });
  const whole = await ours.chat.completions.create({ model: "mine", ...request });
  expect(whole.choices[0]?.message.content).toBe(direct.choices[0]?.message.content);
  expect(whole.usage?.completion_tokens).toBe(direct.usage?.completion_tokens);
  let text = "";
  let usage: OpenAI.CompletionUsage | null | undefined;
  const stream = await ours.chat.completions.create({
    model: "chat/smol",
    ...request,
    stream: true,
    stream_options: { include_usage: true },
  });
  for await (const { choices, usage: counted } of stream) {
    text += choices[0]?.delta.content ?? "";
    usage = counted ?? usage;
  }
  expect(text).toBe(direct.choices[0]?.message.content);
  expect(usage?.completion_tokens).toBe(direct.usage?.completion_tokens);
});

test("what it does with schemas, tools and completions passes through", async () => {
  const schema = {
    type: "object",
    properties: { river: { type: "string", maxLength: 8 } },
    required: ["river"],
    additionalProperties: false,
  };
  const { choices } = await ours.chat.completions.create({
    model: "mine",
    ...request,
    max_tokens: 48,
    response_format: { type: "json_schema", json_schema: { name: "river", schema } },
  });
  expect(JSON.parse(choices[0]?.message.content ?? "")).toHaveProperty("river");
  const completion = await ours.completions.create({
    model: "mine",
    prompt: "The Rhine is a",
    max_tokens: 4,
    temperature: 0,
  });
  expect(completion.choices[0]?.text).not.toBe("");
});

test("embeddings are its own", async () => {
  const { data, usage } = await ours.embeddings.create({
    model: "vectors/minilm-embed",
    input: ["Rhine", "Danube"],
    encoding_format: "float",
  });
  expect(data.map(({ embedding }) => embedding.length)).toEqual([384, 384]);
  expect(usage.prompt_tokens).toBeGreaterThan(0);
});

test("what is wrong with a request is said in our shape, and its key is its owner's affair", async () => {
  const long = { ...request, messages: [{ role: "user" as const, content: "river ".repeat(700) }] };
  await expect(ours.chat.completions.create({ model: "mine", ...long })).rejects.toMatchObject({
    status: 400,
    code: "context_length_exceeded",
    param: "messages",
  });
  await expect(ours.chat.completions.create({ model: "odd", ...request })).rejects.toMatchObject({
    status: 502,
    code: "provider_rejected_key",
    message: expect.stringContaining('The provider "stranger" rejects the key of the environment variable WRONG_KEY'),
  });
});

test("a client that disconnects frees its slot", async () => {
  const stream = await ours.chat.completions.create({ model: "mine", ...request, max_tokens: 400, stream: true });
  for await (const _ of stream) break;
  await eventually("the slot is free", async () => {
    const slots = await fetch(`http://${address}/slots`, { headers: { authorization: `Bearer ${KEY}` } });
    return ((await slots.json()) as { is_processing: boolean }[]).every(({ is_processing }) => !is_processing);
  });
});
