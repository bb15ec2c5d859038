import { execa } from "execa";
import { Ollama } from "ollama";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { pythonSdkPackages } from "../../bench/compatibility/python.ts";
import { eventually, installAssistant, type TestAssistant } from "../support/assistant.ts";
import { chatModelFile, embeddingModelFile } from "../support/model-files.ts";
import { bothEngines, chatModelToml, embeddingModelToml } from "../support/models.ts";
import { nativeEngineConfig } from "../support/native-engine.ts";

const options = { temperature: 0, num_predict: 12 };
const messages = [{ role: "user", content: "Name three rivers." }];
const colour = { type: "object", properties: { colour: { enum: ["red", "blue"] } }, required: ["colour"] };

const PYTHON = `
import json, ollama
client = ollama.Client()
chat = dict(model="smol", messages=[{"role": "user", "content": "Name three rivers."}], options={"temperature": 0, "num_predict": 12})
parts = list(client.chat(stream=True, **chat))
try:
    client.chat(model="nothing", messages=chat["messages"])
    error = None
except ollama.ResponseError as failure:
    error = [failure.status_code, failure.error]
print(json.dumps({
    "text": "".join(part.message.content for part in parts),
    "whole": client.chat(**chat).message.content,
    "end": [parts[-1].done, parts[-1].done_reason, parts[-1].eval_count],
    "vectors": [len(vector) for vector in client.embed(model="minilm", input=["a", "b"]).embeddings],
    "models": sorted(model.model for model in client.list().models),
    "family": client.show("smol").details.family,
    "running": [model.model for model in client.ps().models if model.context_length > 0],
    "error": error,
}))
`;

describe.each(bothEngines)("Ollama's official clients against %s", (engine) => {
  let assistant: TestAssistant;
  let url: string;
  let client: Ollama;

  beforeAll(async () => {
    assistant = await installAssistant({
      models: {
        smol: chatModelToml(await chatModelFile(), engine),
        minilm: embeddingModelToml((await embeddingModelFile()).model, engine),
      },
      config: nativeEngineConfig(),
    });
    url = await assistant.serve();
    client = new Ollama({ host: url });
  });
  afterAll(() => assistant?.[Symbol.asyncDispose]());

  test("a chat is streamed piece by piece, as in one piece, and ends with its figures", async () => {
    const whole = await client.chat({ model: "smol", messages, options });
    let text = "";
    let pieces = 0;
    for await (const part of await client.chat({ model: "smol:latest", messages, options, stream: true })) {
      text += part.message.content;
      pieces += 1;
      if (!part.done) continue;
      expect(part).toMatchObject({ model: "smol:latest", done_reason: "length", eval_count: 12 });
      expect(Math.min(part.total_duration, part.eval_duration, part.prompt_eval_count)).toBeGreaterThan(0);
    }
    expect(pieces).toBeGreaterThan(6);
    expect(text).toBe(whole.message.content);
  });

  test("a generation follows a JSON Schema", async () => {
    const request = { model: "smol", prompt: "Choose a colour.", format: colour, options: { temperature: 0 } };
    const { response } = await client.generate({ ...request, stream: false });
    expect(JSON.parse(response ?? "")).toEqual({ colour: expect.stringMatching(/^(red|blue)$/) });
  });

  test("a raw prompt is continued, with probabilities", async () => {
    const request = {
      model: "smol",
      prompt: "1 2 3 4 5 6",
      raw: true,
      logprobs: true,
      options: { temperature: 0, num_predict: 4 },
    };
    const { response, logprobs = [] } = await client.generate({ ...request, stream: false });
    expect(response).toContain("7");
    expect(logprobs.map(({ token }) => token).join("")).toBe(response);
  });

  test("tools and images are refused by a model without them", async () => {
    const weather = {
      type: "function",
      function: { name: "weather", description: "", parameters: { type: "object" } },
    };
    await expect(client.chat({ model: "smol", messages, tools: [weather] })).rejects.toThrow(/does not call tools/);
    const pixel = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";
    const shown = [{ role: "user", content: "What is it?", images: [pixel] }];
    await expect(client.chat({ model: "smol", messages: shown })).rejects.toThrow(/does not take images/);
  });

  test("a text that is longer than the context is cut for a vector, unless that is declined", async () => {
    const long = { model: "minilm", input: ["short", "word ".repeat(2000)] };
    expect((await client.embed(long)).embeddings.map(({ length }) => length)).toEqual([384, 384]);
    await expect(client.embed({ ...long, truncate: false })).rejects.toThrow(/has \d+ tokens/);
  });

  test("an aborted stream frees the engine's slot", async () => {
    const long = { model: "smol", messages, options: { num_predict: 1500 }, stream: true } as const;
    const stream = await client.chat(long);
    for await (const _ of stream) break;
    stream.abort();
    await eventually("no request in flight", async () =>
      (await assistant.status()).instances.every((instance) => instance.inFlight === 0),
    );
  });

  test("the Python client chats, embeds, lists and reads errors", async () => {
    const env = { PYTHONPATH: await pythonSdkPackages(), OLLAMA_HOST: url };
    const { stdout } = await execa("python3", ["-c", PYTHON], { env, stdin: "ignore" });
    const told = JSON.parse(stdout) as Record<string, unknown>;
    expect(told).toMatchObject({
      text: told["whole"],
      end: [true, "length", 12],
      vectors: [384, 384],
      models: ["minilm:latest", "smol:latest"],
      family: "llama",
      running: expect.arrayContaining(["smol:latest"]),
      error: [404, expect.stringContaining("not found")],
    });
  });
});
