import { describe, expect, test } from "vitest";
import type { JsonObject } from "../../../../src/core/inference.ts";
import { chatShape, generateShape, TextAnswer } from "../../../../src/gateway/doors/ollama/answers.ts";

const choice = (delta: object, finish: string | null = null, more: object = {}): JsonObject => ({
  choices: [{ index: 0, delta, finish_reason: finish, ...more }],
});
const ending = {
  usage: { prompt_tokens: 5, completion_tokens: 2, prompt_tokens_details: { cached_tokens: 3 } },
  timings: { prompt_ms: 1.5, predicted_ms: 2.5 },
};
const lines = (answer: TextAnswer, chunks: readonly JsonObject[]): JsonObject[] =>
  [...chunks.map((chunk) => answer.chunk(chunk)), answer.end()]
    .join("")
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line) as JsonObject);

const head = (answer: TextAnswer): TextAnswer => {
  answer.head(["x-assistant-model", "x-assistant-queue-ms", "x-assistant-queue-ms", "20"]);
  return answer;
};

test("a stream has a line for each piece, and the engine's figures at its end, in nanoseconds", () => {
  const answer = head(new TextAnswer("smol:latest", chatShape));
  const got = lines(answer, [
    choice({ role: "assistant", content: null }),
    choice({ content: "Hel" }),
    choice({ content: "lo" }),
    choice({}, "stop"),
    { choices: [], ...ending },
  ]);
  expect(got).toHaveLength(3);
  expect(got[0]).toMatchObject({ model: "smol:latest", message: { role: "assistant", content: "Hel" }, done: false });
  expect(got[2]).toMatchObject({
    message: { role: "assistant", content: "" },
    done: true,
    done_reason: "stop",
    load_duration: 20_000_000,
    prompt_eval_count: 5,
    prompt_eval_cached_count: 3,
    prompt_eval_duration: 1_500_000,
    eval_count: 2,
    eval_duration: 2_500_000,
  });
  expect(Date.parse(String(got[0]?.["created_at"]))).not.toBeNaN();
});

test("reasoning is the message's thinking", () => {
  const [first, second] = lines(new TextAnswer("m", chatShape), [
    choice({ reasoning_content: "Hm." }),
    choice({ content: "Yes." }, "length"),
  ]);
  expect(first).toMatchObject({ message: { content: "", thinking: "Hm." } });
  expect(second?.["message"]).toEqual({ role: "assistant", content: "Yes." });
});

test("an answer that was cut off has the reason length", () => {
  const got = lines(new TextAnswer("m", generateShape), [choice({ content: "a" }, "length")]);
  expect(got.at(-1)).toMatchObject({ response: "", done: true, done_reason: "length" });
});

test("a stream of a completion has its text as the response", () => {
  const [first] = lines(new TextAnswer("m", generateShape), [
    { choices: [{ index: 0, text: "4", finish_reason: null }] },
  ]);
  expect(first).toMatchObject({ response: "4", done: false });
});

describe("tool calls", () => {
  const part = (index: number, called: object, id?: string): object => ({
    tool_calls: [{ index, ...(id === undefined ? {} : { id, type: "function" }), function: called }],
  });

  test("are sent whole, with their arguments as objects", () => {
    const got = lines(new TextAnswer("m", chatShape), [
      choice(part(0, { name: "weather", arguments: "" }, "call_a")),
      choice(part(0, { arguments: '{"city":' })),
      choice(part(0, { arguments: '"Rome"}' })),
      choice(part(1, { name: "time", arguments: "{}" }, "call_b")),
      choice({}, "tool_calls"),
    ]);
    expect(got).toHaveLength(2);
    expect(got[0]?.["message"]).toEqual({
      role: "assistant",
      content: "",
      tool_calls: [
        { id: "call_a", function: { index: 0, name: "weather", arguments: { city: "Rome" } } },
        { id: "call_b", function: { index: 1, name: "time", arguments: {} } },
      ],
    });
    expect(got[1]).toMatchObject({ done: true, done_reason: "stop" });
  });

  test("that the token limit cut off are left out", () => {
    const got = lines(new TextAnswer("m", chatShape), [
      choice(part(0, { name: "weather", arguments: '{"city":' }, "call_a")),
      choice({}, "length"),
    ]);
    expect(got).toHaveLength(1);
    expect(got[0]).toMatchObject({ done_reason: "length" });
  });
});

test("an answer in one piece has everything in one object", () => {
  const logprobs = { content: [{ token: "Hi", logprob: -0.5, bytes: [72, 105], top_logprobs: [] }] };
  const message = { role: "assistant", content: "Hi", reasoning_content: "Greet." };
  const whole = head(new TextAnswer("m", chatShape)).whole({
    choices: [{ index: 0, message, finish_reason: "stop", logprobs }],
    ...ending,
  });
  expect(whole).toMatchObject({
    model: "m",
    message: { role: "assistant", content: "Hi", thinking: "Greet." },
    done: true,
    done_reason: "stop",
    eval_count: 2,
    logprobs: logprobs.content,
  });
});

test("what a service does not measure is measured here, as far as that can be", () => {
  const whole = new TextAnswer("m", generateShape).whole({
    choices: [{ index: 0, text: "Hi", finish_reason: "stop" }],
    usage: ending.usage,
  });
  expect(whole).not.toHaveProperty("prompt_eval_duration");
  expect(whole["eval_duration"]).toBe(whole["total_duration"]);
});

test("the probabilities of a completion are lists there, and objects here", () => {
  const logprobs = { tokens: ["7", "é"], token_logprobs: [-0.1, -0.2], top_logprobs: [{ "7": -0.1, "8": -2 }, {}] };
  const whole = new TextAnswer("m", generateShape).whole({
    choices: [{ index: 0, text: "7é", finish_reason: "stop", logprobs }],
  });
  const eight = { token: "8", logprob: -2, bytes: [56] };
  const seven = { token: "7", logprob: -0.1, bytes: [55] };
  expect(whole["logprobs"]).toEqual([
    { ...seven, top_logprobs: [seven, eight] },
    { token: "é", logprob: -0.2, bytes: [195, 169] },
  ]);
});
