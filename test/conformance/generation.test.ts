import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { chatModelFile } from "../support/model-files.ts";
import { schemaErrors } from "../support/openai-schema.ts";
import { bothEngines, EngineProcess } from "./engine-process.ts";

/** llama-server leaves out what is null. */
const wrongIn = (schema: string, answer: object): string[] =>
  schemaErrors(schema, answer).filter((error) => !/must have required property '(?:logprobs|refusal)'/.test(error));

const hello = [{ role: "user", content: "Say hello to the sea." }];

describe.each(bothEngines)("generation by %s", (id) => {
  let engine: EngineProcess;
  beforeAll(async () => {
    engine = await EngineProcess.start(id, await chatModelFile());
  });
  afterAll(() => engine[Symbol.asyncDispose]());

  test("a chat answer has text, an end reason, usage that adds up and timings", async () => {
    const { status, headers, body } = await engine.post("/v1/chat/completions", {
      messages: hello,
      max_tokens: 8,
      temperature: 0,
      model: "smol",
    });
    expect(status).toBe(200);
    expect(headers["content-type"]).toContain("application/json");
    expect(body).toMatchObject({
      object: "chat.completion",
      model: "smol",
      choices: [{ index: 0, finish_reason: "length", message: { role: "assistant" } }],
    });
    expect(body.choices[0].message.content.length).toBeGreaterThan(0);
    expect(body.usage.completion_tokens).toBe(8);
    expect(body.usage.total_tokens).toBe(body.usage.prompt_tokens + body.usage.completion_tokens);
    expectTimings(body.timings, body.usage);
  });

  test("a stream says the same as a whole answer, and tells usage only where it was asked", async () => {
    const request = { messages: hello, max_tokens: 12, temperature: 0 };
    const whole = await engine.post("/v1/chat/completions", request);
    const plain = await engine.stream("/v1/chat/completions", request);
    const asked = await engine.stream("/v1/chat/completions", { ...request, stream_options: { include_usage: true } });
    expect(wrongIn("CreateChatCompletionResponse", whole.body)).toEqual([]);
    for (const event of [...plain, ...asked]) expect(wrongIn("CreateChatCompletionStreamResponse", event)).toEqual([]);
    const textOf = (events: { choices: { delta: { content?: string | null } }[] }[]): string =>
      events.map((event) => event.choices[0]?.delta.content ?? "").join("");
    expect(textOf(plain)).toBe(whole.body.choices[0].message.content);
    expect(textOf(asked)).toBe(whole.body.choices[0].message.content);
    expect(plain[0]).toMatchObject({
      object: "chat.completion.chunk",
      choices: [{ index: 0, delta: { role: "assistant" }, finish_reason: null }],
    });
    expect(plain.at(-1)).toMatchObject({
      choices: [{ delta: {}, finish_reason: "length" }],
      timings: { predicted_n: 12 },
    });
    expect(plain.filter((event) => "usage" in event)).toEqual([]);
    expect(asked.at(-2)).toMatchObject({ choices: [{ finish_reason: "length" }] });
    expect(asked.at(-1)).toMatchObject({ choices: [], usage: { completion_tokens: 12 }, timings: { predicted_n: 12 } });
    expect(asked.filter((event) => "usage" in event)).toHaveLength(1);
    expect(new Set(asked.map((event) => event.id)).size).toBe(1);
  });

  test("DRY ends repetitions, and each event has timings where they are asked for", async () => {
    const prompt = "The sea, the sea, the sea, the sea, the sea, the sea,";
    const request = { prompt, max_tokens: 20, temperature: 0, ignore_eos: true, stream: true };
    const textOf = (events: { choices: { text: string }[] }[]): string =>
      events.map((event) => event.choices[0]?.text ?? "").join("");
    const looped = await engine.stream("/v1/completions", request);
    const dry = { dry_multiplier: 5, dry_base: 2, dry_allowed_length: 2, dry_sequence_breakers: ["\n"] };
    const events = await engine.stream("/v1/completions", { ...request, ...dry, timings_per_token: true });
    expect(textOf(looped)).toMatch(/( the sea,){6}/);
    expect(textOf(events)).not.toMatch(/( the sea,){6}/);
    expect(events.slice(1, -1).every((event) => event.timings.predicted_n > 0)).toBe(true);
  });

  test("a text completion continues its prompt, streamed and whole", async () => {
    const request = { prompt: "One, two, three,", max_tokens: 6, temperature: 0 };
    const whole = await engine.post("/v1/completions", request);
    expect(whole.body).toMatchObject({ object: "text_completion", choices: [{ index: 0, finish_reason: "length" }] });
    const events = await engine.stream("/v1/completions", request);
    for (const answer of [whole.body, ...events]) expect(wrongIn("CreateCompletionResponse", answer)).toEqual([]);
    expect(events.map((event) => event.choices[0]?.text ?? "").join("")).toBe(whole.body.choices[0].text);
    expect(events.at(-1)).toMatchObject({
      choices: [{ finish_reason: "length" }],
      usage: { completion_tokens: 6 },
      timings: { predicted_n: 6 },
    });
  });

  test("a completion takes token ids, and several prompts give several answers", async () => {
    const { body } = await engine.post("/tokenize", { content: "One, two, three," });
    const texts = await engine.post("/v1/completions", {
      prompt: ["One, two, three,", "Red, green,"],
      max_tokens: 4,
      temperature: 0,
    });
    const ids = await engine.post("/v1/completions", { prompt: body.tokens, max_tokens: 4, temperature: 0 });
    expect(texts.body.choices.map((choice: { index: number }) => choice.index)).toEqual([0, 1]);
    expect(ids.body.choices[0].text).toBe(texts.body.choices[0].text);
  });

  test("the same seed gives the same text, another seed another", async () => {
    const ask = async (seed: number): Promise<string> =>
      (
        await engine.post("/v1/completions", {
          prompt: "My favourite place is",
          max_tokens: 24,
          temperature: 1.5,
          seed,
          cache_prompt: false,
        })
      ).body.choices[0].text;
    const [first, again, other] = [await ask(7), await ask(7), await ask(8)];
    expect(again).toBe(first);
    expect(other).not.toBe(first);
  });

  test("n answers come under their own indexes, with seeds of their own", async () => {
    const { body } = await engine.post("/v1/chat/completions", {
      messages: hello,
      max_tokens: 12,
      temperature: 1.5,
      seed: 3,
      n: 2,
    });
    expect(body.choices.map((choice: { index: number }) => choice.index)).toEqual([0, 1]);
    expect(body.choices[0].message.content).not.toBe(body.choices[1].message.content);
  });

  test("a stop string ends the answer and is never shown, not even in part", async () => {
    const request = { prompt: "1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12,", max_tokens: 40, temperature: 0 };
    const free = await engine.post("/v1/completions", request);
    expect(free.body.choices[0].text).toContain(" 15, 16");
    const events = await engine.stream("/v1/completions", { ...request, stop: ["zzz", " 15, 16"] });
    const text = events.map((event) => event.choices[0]?.text ?? "").join("");
    expect(text).toBe(" 13, 14,");
    expect(events.at(-1).choices[0].finish_reason).toBe("stop");
    const whole = await engine.post("/v1/completions", { ...request, stop: " 15, 16" });
    expect(whole.body.choices[0]).toMatchObject({ text, finish_reason: "stop" });
  });

  test("text that only begins like a stop string is shown in full", async () => {
    // Enough tokens to tell the two apart: where an answer ends in between, llama-server keeps the text to itself.
    const request = { prompt: "1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12,", max_tokens: 16, temperature: 0 };
    const free = await engine.post("/v1/completions", request);
    const events = await engine.stream("/v1/completions", { ...request, stop: [" 15, never"] });
    expect(events.map((event) => event.choices[0]?.text ?? "").join("")).toBe(free.body.choices[0].text);
  });

  test("the model's own end mark ends the answer", async () => {
    const { body } = await engine.post("/v1/chat/completions", {
      messages: [{ role: "user", content: "Answer with the single word: yes" }],
      max_tokens: 200,
      temperature: 0,
    });
    expect(body.choices[0].finish_reason).toBe("stop");
    expect(body.choices[0].message.content).not.toContain("<|im_end|>");
  });

  test("max_completion_tokens means the same as max_tokens", async () => {
    const { body } = await engine.post("/v1/chat/completions", {
      messages: hello,
      max_completion_tokens: 3,
      temperature: 0,
    });
    expect(body.usage.completion_tokens).toBe(3);
  });

  test("a biased token is forced or forbidden", async () => {
    const request = { prompt: "The colour of the sky is", max_tokens: 1, temperature: 0 };
    const free = await engine.post("/v1/completions", request);
    const { body } = await engine.post("/tokenize", { content: free.body.choices[0].text });
    const { body: seven } = await engine.post("/tokenize", { content: " seven" });
    const forbidden = await engine.post("/v1/completions", { ...request, logit_bias: { [body.tokens[0]]: -100 } });
    const forced = await engine.post("/v1/completions", { ...request, logit_bias: { [seven.tokens[0]]: 100 } });
    expect(forbidden.body.choices[0].text).not.toBe(free.body.choices[0].text);
    expect(forced.body.choices[0].text).toBe(" seven");
  });

  test("a repetition penalty changes a repetitive answer", async () => {
    const request = { prompt: "1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12,", max_tokens: 6, temperature: 0 };
    const free = await engine.post("/v1/completions", request);
    const punished = await engine.post("/v1/completions", {
      ...request,
      repeat_penalty: 2,
      frequency_penalty: 2,
      presence_penalty: 2,
    });
    expect(free.body.choices[0].text).toContain(" 13, 1");
    // "1" and "," have been said too often.
    expect(punished.body.choices[0].text).not.toContain("1");
  });

  test("emoji and other long characters are never cut", async () => {
    const line = "Repeat exactly: 🦊🌊🧡 żółć 日本語";
    const grammar = 'root ::= "🦊🌊🧡 żółć 日本語"';
    const events = await engine.stream("/v1/chat/completions", {
      messages: [{ role: "user", content: line }],
      max_tokens: 60,
      temperature: 0,
      grammar,
    });
    const pieces = events.map((event) => event.choices[0]?.delta.content ?? "");
    expect(pieces.join("")).toBe("🦊🌊🧡 żółć 日本語");
    expect(pieces.join("|")).not.toContain("\uFFFD");
  });

  test("what a conversation has already said is not evaluated again", async () => {
    const messages = [
      ...hello,
      { role: "assistant", content: "Hello, sea!" },
      { role: "user", content: "And to the sky?" },
    ];
    await engine.post("/v1/chat/completions", { messages: messages.slice(0, 1), max_tokens: 2, temperature: 0 });
    const first = await engine.post("/v1/chat/completions", {
      messages,
      max_tokens: 4,
      temperature: 0,
      cache_prompt: false,
    });
    const second = await engine.post("/v1/chat/completions", { messages, max_tokens: 4, temperature: 0 });
    expect(second.body.timings.cache_n).toBeGreaterThan(20);
    expect(second.body.usage.prompt_tokens_details.cached_tokens).toBe(second.body.timings.cache_n);
    expect(second.body.timings.cache_n + second.body.timings.prompt_n).toBe(second.body.usage.prompt_tokens);
    expect(second.body.choices[0].message.content).toBe(first.body.choices[0].message.content);
  });

  test("two streams run at once, and what is beyond the slots waits its turn", async () => {
    const ask = (number: number) =>
      engine.stream("/v1/completions", {
        prompt: `Story number ${number}: once upon a time`,
        max_tokens: 24,
        temperature: 0,
        ignore_eos: true,
      });
    let sawBoth = false;
    const answers = Promise.all([1, 2, 3, 4].map(ask));
    const watch = (async () => {
      while (!sawBoth) sawBoth = (await engine.busySlots()) === 2;
    })();
    const all = await answers;
    await watch;
    expect(all.map((events) => events.at(-1).usage.completion_tokens)).toEqual([24, 24, 24, 24]);
  });
});

function expectTimings(
  timings: Record<string, number>,
  usage: { completion_tokens: number; prompt_tokens: number },
): void {
  const names = [
    "cache_n",
    "prompt_n",
    "prompt_ms",
    "prompt_per_token_ms",
    "prompt_per_second",
    "predicted_n",
    "predicted_ms",
    "predicted_per_token_ms",
    "predicted_per_second",
  ];
  for (const name of names) expect(timings[name], name).toBeTypeOf("number");
  expect((timings["cache_n"] ?? 0) + (timings["prompt_n"] ?? 0)).toBe(usage.prompt_tokens);
  expect(timings["predicted_n"]).toBe(usage.completion_tokens);
}
