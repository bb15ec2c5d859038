import { readFile } from "node:fs/promises";
import OpenAI from "openai";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { eventually, installAssistant, type TestAssistant } from "../support/assistant.ts";
import { chatModelFile, embeddingModelFile } from "../support/model-files.ts";
import { bothEngines, chatModelToml, embeddingModelToml } from "../support/models.ts";
import { nativeEngineConfig } from "../support/native-engine.ts";
import { schemaErrors } from "../support/openai-schema.ts";

/** Answers are the engine's own bytes, and llama-server leaves out what is null. */
const wrongIn = (schema: string, answer: object): string[] =>
  schemaErrors(schema, answer).filter((error) => !/must have required property '(?:logprobs|refusal)'/.test(error));

describe.each(bothEngines)("the official OpenAI client against %s", (engine) => {
  let assistant: TestAssistant;
  let client: OpenAI;
  let reference: { model: string; reference: string };

  beforeAll(async () => {
    reference = await embeddingModelFile();
    assistant = await installAssistant({
      models: {
        smol: chatModelToml(await chatModelFile(), engine),
        minilm: embeddingModelToml(reference.model, engine),
      },
      config: nativeEngineConfig(),
    });
    client = new OpenAI({ baseURL: `${await assistant.serve()}/v1`, apiKey: "unused", maxRetries: 0 });
  });
  afterAll(() => assistant?.[Symbol.asyncDispose]());

  test("streams an answer token by token, with usage at the end", async () => {
    const stream = await client.chat.completions.create({
      model: "smol",
      messages: [{ role: "user", content: "Count from one to ten in words." }],
      max_tokens: 24,
      temperature: 0,
      stream: true,
      stream_options: { include_usage: true },
    });
    const pieces: string[] = [];
    let usage: OpenAI.CompletionUsage | null | undefined;
    let finish: string | null = null;
    for await (const chunk of stream) {
      expect(wrongIn("CreateChatCompletionStreamResponse", chunk)).toEqual([]);
      const choice = chunk.choices[0];
      if (choice?.delta.content) pieces.push(choice.delta.content);
      if (choice?.finish_reason) finish = choice.finish_reason;
      if (chunk.usage) usage = chunk.usage;
    }
    expect(pieces.length).toBeGreaterThan(8);
    expect(["length", "stop"]).toContain(finish);
    expect(usage?.completion_tokens).toBeGreaterThan(8);
    expect(usage?.total_tokens).toBe((usage?.prompt_tokens ?? 0) + (usage?.completion_tokens ?? 0));
  });

  test("gives the same text streamed and not streamed", async () => {
    const request = {
      model: "smol",
      messages: [{ role: "user" as const, content: "Name three rivers." }],
      max_tokens: 16,
      temperature: 0,
      seed: 7,
    };
    const whole = await client.chat.completions.create(request);
    let streamed = "";
    for await (const chunk of await client.chat.completions.create({ ...request, stream: true }))
      streamed += chunk.choices[0]?.delta.content ?? "";
    expect(wrongIn("CreateChatCompletionResponse", whole)).toEqual([]);
    expect(whole.choices[0]?.message.content).toBe(streamed);
    expect(whole.model).toBe("smol");
  });

  test("an answer continues the assistant's message without repeating it", async () => {
    const request = {
      model: "smol",
      messages: [
        { role: "user" as const, content: "What is the capital of France?" },
        { role: "assistant" as const, content: "Let me think." },
        { role: "assistant" as const, content: "The capital of France is the city of" },
      ],
      max_tokens: 4,
      temperature: 0,
    };
    const said = (answer: OpenAI.ChatCompletion): string[] =>
      answer.choices.map(({ message }) => message.content ?? "");
    let streamed = "";
    for await (const chunk of await client.chat.completions.create({ ...request, stream: true }))
      streamed += chunk.choices[0]?.delta.content ?? "";
    expect(streamed).toMatch(/^ Paris\b/);
    expect(said(await client.chat.completions.create(request))).toEqual([streamed]);
    expect(said(await client.chat.completions.create({ ...request, n: 2 }))).toEqual([streamed, streamed]);
    const explicit = { ...request, continue_final_message: true };
    expect(said(await client.chat.completions.create(explicit))).toEqual([streamed]);
  });

  test("an aborted stream frees the engine's slot", async () => {
    const stream = await client.chat.completions.create({
      model: "smol",
      messages: [{ role: "user", content: "Write a very long story." }],
      max_tokens: 1500,
      stream: true,
    });
    for await (const chunk of stream) {
      if (chunk.choices[0]?.delta.content) break;
    }
    stream.controller.abort();
    await eventually("no request in flight", async () =>
      (await assistant.status()).instances.every((instance) => instance.inFlight === 0),
    );
    const log = await eventually("the log line of the cancelled request", async () => {
      const text = await assistant.daemonLog();
      return text.includes('"end":"cancelled"') && text;
    });
    expect(log).not.toContain("very long story");
  });

  test("an unknown model is a 404 that names the nearest", async () => {
    const failure = await client.chat.completions
      .create({ model: "smoll", messages: [{ role: "user", content: "x" }] })
      .catch((error: unknown) => error);
    expect(failure).toBeInstanceOf(OpenAI.NotFoundError);
    expect(String((failure as Error).message)).toContain("smol");
  });

  test("a prompt over the context is refused, not cut", async () => {
    const failure = await client.chat.completions
      .create({ model: "smol", messages: [{ role: "user", content: "river ".repeat(4000) }] })
      .catch((error: unknown) => error);
    expect(failure).toBeInstanceOf(OpenAI.BadRequestError);
    expect((failure as InstanceType<typeof OpenAI.BadRequestError>).code).toBe("context_length_exceeded");
  });

  test("a JSON schema binds the answer", async () => {
    const answer = await client.chat.completions.create({
      model: "smol",
      messages: [{ role: "user", content: "Give me a person." }],
      max_tokens: 100,
      temperature: 0,
      response_format: {
        type: "json_schema",
        json_schema: {
          name: "person",
          schema: {
            type: "object",
            properties: { name: { type: "string", maxLength: 20 }, age: { type: "integer" } },
            required: ["name", "age"],
            additionalProperties: false,
          },
        },
      },
    });
    const person = JSON.parse(answer.choices[0]?.message.content ?? "") as { name: unknown; age: unknown };
    expect(typeof person.name).toBe("string");
    expect(typeof person.age).toBe("number");
  });

  test("a developer instructs as a system does, and the service tier is part of the answer", async () => {
    const ask = (role: "developer" | "system"): Promise<OpenAI.ChatCompletion> =>
      client.chat.completions.create({
        model: "smol",
        messages: [
          { role, content: "You are brief." },
          { role: "user", content: "Name three rivers." },
        ],
        max_tokens: 8,
        temperature: 0,
        service_tier: "flex",
      });
    const [developer, system] = [await ask("developer"), await ask("system")];
    expect(developer.choices[0]?.message.content).toBe(system.choices[0]?.message.content);
    expect(developer.usage?.prompt_tokens).toBe(system.usage?.prompt_tokens);
    expect(developer.service_tier).toBe("flex");
  });

  test("completions, the list of models and one model answer", async () => {
    const completion = await client.completions.create({
      model: "smol",
      prompt: "The capital of France is",
      max_tokens: 4,
      temperature: 0,
      echo: true,
    });
    expect(completion.choices[0]?.text).toMatch(/^The capital of France is./);
    const names = (await client.models.list()).data.map((model) => model.id);
    expect(names).toEqual(expect.arrayContaining(["smol", "minilm"]));
    expect((await client.models.retrieve("smol")).id).toBe("smol");
  });

  test("embeddings equal the reference vectors", async () => {
    const { cases } = JSON.parse(await readFile(reference.reference, "utf8")) as {
      cases: { input: string; embedding: number[] }[];
    };
    expect(cases.length).toBeGreaterThan(0);
    const { data } = await client.embeddings.create({
      model: "minilm",
      input: cases.map((entry) => entry.input),
      encoding_format: "float",
    });
    for (const [index, entry] of cases.entries())
      expect(cosine(data[index]?.embedding ?? [], entry.embedding)).toBeGreaterThan(1 - 1e-3);
  });
});

function cosine(a: readonly number[], b: readonly number[]): number {
  let dot = 0;
  let normA = 0;
  let normB = 0;
  for (const [index, value] of a.entries()) {
    const other = b[index] ?? 0;
    dot += value * other;
    normA += value * value;
    normB += other * other;
  }
  return dot / Math.sqrt(normA * normB);
}
