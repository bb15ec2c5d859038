import { expect, test } from "vitest";
import { checkFields } from "../../../src/gateway/canonical/fields.ts";

const messages = [
  { role: "system", content: "x" },
  { role: "user", content: [{ type: "text", text: "x" }] },
  { role: "assistant", content: null, tool_calls: [] },
];

test("everything that clients of OpenAI and of llama.cpp send passes", () => {
  const body = {
    model: "river",
    messages,
    temperature: 0,
    top_p: 1,
    max_tokens: -1,
    max_completion_tokens: null,
    stop: ["a"],
    seed: -1,
    logprobs: true,
    top_logprobs: 5,
    stream: false,
    stream_options: null,
    tools: [],
    tool_choice: "auto",
    response_format: { type: "json_object" },
    logit_bias: [[1, -1]],
    n_predict: 5,
    cache_prompt: true,
    min_p: 0.05,
  };
  expect(() => checkFields("chat", body)).not.toThrow();
});

test.each(["text", ["a", "b"], [1, 2, 3], [[1, 2], [3]]])("the prompt %j passes", (prompt) => {
  expect(() => checkFields("completion", { prompt })).not.toThrow();
  expect(() => checkFields("embedding", { input: prompt })).not.toThrow();
});

test.each([3, {}, [], [1.5], ["a", 1], [[]]])("the prompt %j is refused", (prompt) => {
  expect(() => checkFields("completion", { prompt })).toThrow(
    expect.objectContaining({ code: "invalid_request", param: "prompt" }),
  );
});

test("names of the language's own objects are no rules", () => {
  expect(() => checkFields("chat", { messages, constructor: 1, toString: 2, __proto__: null })).not.toThrow();
});

test("a long value is named, not quoted", () => {
  const refusal = (() => {
    try {
      checkFields("chat", { messages, temperature: "secret ".repeat(20) });
    } catch (error) {
      return String(error);
    }
  })();
  expect(refusal).toContain("found a string");
  expect(refusal).not.toContain("secret");
});
