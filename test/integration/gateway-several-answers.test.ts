import { expect, test } from "vitest";
import { chatBody, startGateway, type TestGateway } from "../support/gateway.ts";
import { chunk, LAST_CHUNK, sseHead } from "../support/scripted-upstream.ts";

// Answers as llama-server streams them: each counts itself, and several prompts begin with an event of null.
const usage = (prompt: number, completion: number, cached: number): string =>
  `"usage":{"completion_tokens":${completion},"prompt_tokens":${prompt},"total_tokens":${prompt + completion},"prompt_tokens_details":{"cached_tokens":${cached}}},` +
  `"timings":{"cache_n":${cached},"prompt_n":${prompt - cached},"prompt_ms":10,"predicted_n":${completion},"predicted_ms":20}`;
const event = (data: string): string => `data: ${data}\n\n`;
const chat = (index: number, delta: string, finish = "null"): string =>
  event(
    `{"choices":[{"finish_reason":${finish},"index":${index},"delta":${delta}}],"id":"c1","created":7,"model":"river","object":"chat.completion.chunk"}`,
  );
const chatUsage = (counts: string): string =>
  event(`{"choices":[],"id":"c1","created":7,"model":"river","object":"chat.completion.chunk",${counts}}`);
const text = (index: number, said: string, rest = '"logprobs":null,"finish_reason":null', counts = ""): string =>
  event(
    `{"choices":[{"text":${JSON.stringify(said)},"index":${index},${rest}}],"id":"c1","created":7,"model":"river","object":"text_completion"${counts}}`,
  );
const done = event("[DONE]");

const twoChats = [
  chat(1, '{"role":"assistant","content":null}'),
  chat(1, '{"content":"B"}'),
  chat(1, "{}", '"stop"'),
  chatUsage(usage(31, 4, 30)),
  chat(0, '{"content":"A"}'),
  chat(0, "{}", '"length"'),
  chatUsage(usage(31, 5, 2)),
  done,
];
const end = '"logprobs":null,"finish_reason":"stop"';
const twoTexts = [
  event("null"),
  text(0, "A"),
  text(0, "", end, `,${usage(4, 1, 0)}`),
  text(1, "B"),
  text(1, "", end, `,${usage(2, 3, 1)}`),
  done,
];
const probability = (token: string, logprob: number, other: string): string =>
  `{"id":1,"token":"${token}","bytes":[1],"logprob":${logprob},"top_logprobs":[{"id":1,"token":"${token}","logprob":${logprob}},{"id":2,"token":"${other}","logprob":-9}]}`;
const withLogprobs = (content: string): string => `"logprobs":{"content":[${content}]},"finish_reason":null`;
const probable = [
  text(0, " or", withLogprobs(probability(" or", -1, " and"))),
  text(0, " not", withLogprobs(probability(" not", -2, " so"))),
  text(0, "", end, `,${usage(4, 2, 0)}`),
  done,
];

let running: TestGateway | null = null;

async function ask(events: readonly string[], path: string, body: object): Promise<string> {
  running = await startGateway((socket) => socket.end(sseHead + events.map(chunk).join("") + LAST_CHUNK));
  const answer = await fetch(running.url + path, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(body),
  });
  return answer.text();
}

const dataOf = (stream: string): string[] => [...stream.matchAll(/data: (.*)\n\n/g)].map(([, data]) => data as string);
const chats = "/v1/chat/completions";
const texts = "/v1/completions";

test("the usage of two answers is that of both, in one piece", async () => {
  const answer = JSON.parse(await ask(twoChats, chats, chatBody({ n: 2 })));
  expect(answer.usage).toEqual({
    completion_tokens: 9,
    prompt_tokens: 31,
    total_tokens: 40,
    prompt_tokens_details: { cached_tokens: 2 },
  });
  expect(answer.timings).toMatchObject({ predicted_n: 9, predicted_ms: 40, predicted_per_second: 225 });
  expect(answer.choices).toMatchObject([
    { index: 0, finish_reason: "length", message: { content: "A" } },
    { index: 1, finish_reason: "stop", message: { content: "B" } },
  ]);
  expect(JSON.parse(running?.upstream.requests[0]?.body ?? "")).toMatchObject({ n: 2, stream: true });
  expect(running?.dispatcher.granted[0]?.outcome).toMatchObject({
    promptTokens: 31,
    completionTokens: 9,
    cachedTokens: 2,
    completionMs: 40,
  });
});

test("the usage of two answers comes once, last of a stream", async () => {
  const events = dataOf(
    await ask(twoChats, chats, chatBody({ n: 2, stream: true, stream_options: { include_usage: true } })),
  );
  const counted = events.filter((data) => data.includes('"usage"'));
  expect(counted).toHaveLength(1);
  expect(events.indexOf(counted[0] as string)).toBe(events.length - 2);
  expect(JSON.parse(counted[0] as string)).toMatchObject({
    choices: [],
    usage: { completion_tokens: 9, prompt_tokens: 31, total_tokens: 40 },
  });
});

test("usage that nobody asked for is in no stream", async () => {
  const stream = await ask(twoChats, chats, chatBody({ n: 2, stream: true }));
  expect(stream).not.toContain('"usage"');
  expect(dataOf(stream).at(-1)).toBe("[DONE]");
  expect(running?.dispatcher.granted[0]?.outcome).toMatchObject({ completionTokens: 9 });
});

test("a stream of several prompts holds objects alone, and counts all of them", async () => {
  const events = dataOf(
    await ask(twoTexts, texts, {
      model: "river",
      prompt: ["a", "b"],
      stream: true,
      stream_options: { include_usage: true },
    }),
  );
  expect(events).not.toContain("null");
  expect(events.pop()).toBe("[DONE]");
  expect(events.map((data) => JSON.parse(data)).at(-1)).toMatchObject({
    choices: [],
    usage: { prompt_tokens: 6, completion_tokens: 4, total_tokens: 10 },
  });
});

test("several prompts in one piece count all of them", async () => {
  const answer = JSON.parse(await ask(twoTexts, texts, { model: "river", prompt: ["a", "b"] }));
  expect(answer).toMatchObject({
    object: "text_completion",
    usage: { prompt_tokens: 6, completion_tokens: 4 },
    choices: [{ text: "A" }, { text: "B" }],
  });
});

const legacy = {
  tokens: [" or", " not"],
  token_logprobs: [-1, -2],
  top_logprobs: [
    { " or": -1, " and": -9 },
    { " not": -2, " so": -9 },
  ],
  text_offset: [0, 3],
};

test("text completions have the logprobs of their own API", async () => {
  const answer = JSON.parse(await ask(probable, texts, { model: "river", prompt: "Either", logprobs: 2 }));
  expect(answer.choices).toEqual([{ text: " or not", index: 0, logprobs: legacy, finish_reason: "stop" }]);
});

test("and so have their streams", async () => {
  const events = dataOf(await ask(probable, texts, { model: "river", prompt: "Either", logprobs: 2, stream: true }));
  expect(JSON.parse(events[1] as string).choices[0].logprobs).toEqual({
    tokens: [" not"],
    token_logprobs: [-2],
    top_logprobs: [{ " not": -2, " so": -9 }],
    text_offset: [3],
  });
});

test("logprobs of no alternatives are those of the answer's tokens", async () => {
  const answer = JSON.parse(await ask(probable, texts, { model: "river", prompt: "Either", logprobs: 0 }));
  expect(answer.choices[0].logprobs).toEqual({ ...legacy, top_logprobs: null });
  expect(JSON.parse(running?.upstream.requests[0]?.body ?? "")).toMatchObject({ logprobs: 1 });
});
