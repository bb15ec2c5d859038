import { expect, test } from "vitest";
import { chatTurn, continued } from "../../../src/conversations/chat.ts";

const NONE = { systemPrompt: null, messages: [] };

test("messages come back from the items that were made of them", () => {
  const messages = [
    { role: "user", content: "What is this?", name: "kim" },
    {
      role: "user",
      content: [
        { type: "text", text: "And this?" },
        { type: "image_url", image_url: { url: "data:image/png;base64,AA==", detail: "low" } },
        { type: "video_url", video_url: { url: "data:video/mp4;base64,AA==" } },
      ],
    },
    {
      role: "assistant",
      content: "I look.",
      reasoning_content: "Hm.",
      tool_calls: [{ id: "c1", type: "function", function: { name: "look", arguments: '{"at":1}' } }],
    },
    { role: "tool", tool_call_id: "c1", content: "A cat." },
    { role: "assistant", content: "A cat." },
  ];
  expect(continued(chatTurn(messages).items, NONE).messages).toEqual(messages);
});

test("what instructs at the beginning is the system prompt", () => {
  const user = { role: "user", content: "hi" };
  const turn = chatTurn([
    { role: "system", content: "A." },
    { role: "developer", content: [{ type: "text", text: "B." }] },
    user,
  ]);
  expect(turn).toMatchObject({ systemPrompt: "A.\n\nB.", messages: [user] });
  expect(continued([], turn)).toEqual({ messages: [{ role: "system", content: "A.\n\nB." }, user], before: 1 });
});

test("the output of a call that was deleted is left out", () => {
  const output = { type: "function_call_output", id: "o", call_id: "gone", output: "4" };
  expect(continued([output], NONE).messages).toEqual([]);
});
