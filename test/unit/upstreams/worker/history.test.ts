import { expect, test } from "vitest";
import type { InferenceCall } from "../../../../src/core/inference.ts";
import { historyOf } from "../../../../src/upstreams/worker/history.ts";

const of = (json: object, operation: "chat" | "completion" = "chat"): unknown =>
  historyOf({ operation, body: { json, bytes: Buffer.alloc(0) } } as unknown as InferenceCall);

test("OpenAI's messages are a worker's history", () => {
  const messages = [
    { role: "system", content: "Be brief." },
    {
      role: "user",
      content: [
        { type: "text", text: "He" },
        { type: "text", text: "llo" },
      ],
    },
    { role: "assistant", content: "Hi" },
    { role: "user", content: "Bye" },
  ];
  expect(of({ messages, temperature: 0.5, max_tokens: 5 })).toEqual([
    { isbot: false, msg: "Be brief.", role: "system" },
    { isbot: false, msg: "Hello" },
    { isbot: true, msg: "Hi" },
    { isbot: false, msg: "Bye" },
  ]);
});

test("the prompt of a completion is a message of the user", () => {
  expect(of({ prompt: ["Once"] }, "completion")).toEqual([{ isbot: false, msg: "Once" }]);
  expect(() => of({ prompt: ["a", "b"] }, "completion")).toThrow("one prompt");
});

const messages = [{ role: "user", content: "x" }];
test.each([
  [{ messages, n: 2 }, "n"],
  [{ messages, response_format: { type: "json_object" } }, "response_format"],
  [{ messages, logprobs: true }, "logprobs"],
  [{ messages: [{ role: "tool", content: "x" }] }, "messages[0].role"],
  [{ messages: [{ role: "user", content: [{ type: "image_url", image_url: {} }] }] }, "messages[0].content[0].type"],
])("%j is refused", (json, param) => {
  expect(() => of(json)).toThrow(expect.objectContaining({ code: "unsupported_capability", param }));
});

test("what asks for nothing is taken", () => {
  expect(of({ messages, n: 1, tools: [], response_format: { type: "text" }, logprobs: false })).toHaveLength(1);
});
