import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { chatModelFile } from "../support/model-files.ts";
import { bothEngines, EngineProcess } from "./engine-process.ts";

const messages = [{ role: "user", content: "Name a river." }];
const request = { messages, max_tokens: 6, temperature: 0, logprobs: true, top_logprobs: 3 };

interface Token {
  readonly id: number;
  readonly token: string;
  readonly bytes: readonly number[];
  readonly logprob: number;
  readonly top_logprobs: readonly Omit<Token, "top_logprobs">[];
}

/** Fails where the engines differ; both compute the same model. */
let first: readonly Token[] | null = null;

describe.each(bothEngines)("probabilities by %s", (id) => {
  let engine: EngineProcess;
  beforeAll(async () => {
    engine = await EngineProcess.start(id, await chatModelFile());
  });
  afterAll(() => engine[Symbol.asyncDispose]());

  test("every token of a chat has its own and the likeliest ones, and both engines give the same", async () => {
    const { body } = await engine.post("/v1/chat/completions", request);
    const { content } = body.choices[0].logprobs as { content: readonly Token[] };
    expect(content).toHaveLength(6);
    expect(content.map(({ token }) => token).join("")).toBe(body.choices[0].message.content);
    for (const { id: own, token, bytes, logprob, top_logprobs: top } of content) {
      expect(Buffer.from(bytes).toString()).toBe(token);
      expect(logprob).toBeLessThanOrEqual(0);
      expect(top).toHaveLength(3);
      // Without chance in it, the answer is made of the likeliest tokens.
      expect(top[0]).toMatchObject({ id: own, token });
      expect(top[0]?.logprob).toBeCloseTo(logprob, 3);
      expect(top.map(({ logprob }) => logprob)).toEqual(top.map(({ logprob }) => logprob).toSorted((a, b) => b - a));
    }
    first ??= content;
    // Their kernels round in different ways: answers may part later, and the first token is after the same prompt.
    expect(content[0]?.id).toBe(first[0]?.id);
    expect(Math.abs((content[0]?.logprob ?? 0) - (first[0]?.logprob ?? Number.NaN))).toBeLessThan(0.3);
  });

  test("they are those before sampling, whatever sampling does, and change no answer", async () => {
    const sampled = { ...request, temperature: 1.5, seed: 7, top_k: 5 };
    const { body } = await engine.post("/v1/chat/completions", sampled);
    const { content } = body.choices[0].logprobs as { content: readonly Token[] };
    const [likeliest] = content[0]?.top_logprobs ?? [];
    expect(Math.abs((likeliest?.logprob ?? 0) - (first?.[0]?.logprob ?? Number.NaN))).toBeLessThan(0.3);
    const plain = await engine.post("/v1/chat/completions", {
      ...sampled,
      logprobs: undefined,
      top_logprobs: undefined,
    });
    expect(plain.body.choices[0].message.content).toBe(body.choices[0].message.content);
    expect(plain.body.choices[0].logprobs ?? null).toBeNull();
  });

  test("a stream says the same as a whole answer", async () => {
    const whole = await engine.post("/v1/chat/completions", request);
    const events = await engine.stream("/v1/chat/completions", request);
    const streamed = events.flatMap((event) => event.choices[0]?.logprobs?.content ?? []) as Token[];
    expect(streamed.map(({ id: own }) => own)).toEqual(
      whole.body.choices[0].logprobs.content.map((token: Token) => token.id),
    );
  });

  test("without alternatives there are none, and a text completion has them too", async () => {
    const { body } = await engine.post("/v1/chat/completions", { ...request, top_logprobs: 0 });
    const alone = body.choices[0].logprobs as { content: readonly Token[] } | null;
    for (const { top_logprobs: top } of alone?.content ?? []) expect(top).toEqual([]);
    const text = await engine.post("/v1/completions", {
      prompt: "One, two,",
      max_tokens: 3,
      temperature: 0,
      logprobs: 2,
    });
    const { content } = text.body.choices[0].logprobs as { content: readonly Token[] };
    expect(content.map(({ token }) => token).join("")).toBe(text.body.choices[0].text);
    expect(content[0]?.top_logprobs).toHaveLength(2);
  });

  test("alternatives without probabilities are refused", async () => {
    const { status } = await engine.post("/v1/chat/completions", { messages, top_logprobs: 2 });
    expect(status).toBe(400);
  });
});
