import { expect, test } from "vitest";
import type { InferenceCall } from "../../../src/core/inference.ts";
import { inputMessages, RecordingSink } from "../../../src/inference/recorded-content.ts";
import { RecordingSink as Client, chatCall } from "../../support/calls.ts";

const call = (prompt: InferenceCall["prompt"]): InferenceCall => ({ ...chatCall(), prompt });

test("texts of a prompt are recorded, and of other parts their kind alone", () => {
  const messages = [
    { role: "system", content: "Be brief." },
    {
      role: "user",
      content: [
        { type: "text", text: "What is this?" },
        { type: "image_url", image_url: { url: "data:image/png;base64,AAAA" } },
      ],
    },
  ];
  expect(JSON.parse(inputMessages(call({ messages })) ?? "")).toEqual([
    { role: "system", parts: [{ type: "text", content: "Be brief." }] },
    { role: "user", parts: [{ type: "text", content: "What is this?" }, { type: "image_url" }] },
  ]);
});

test("of a prompt that is too long the end is kept", () => {
  const messages = [
    { role: "user", content: "first" },
    { role: "assistant", content: "x".repeat(70_000) },
    { role: "user", content: "last" },
  ];
  const kept = JSON.parse(inputMessages(call({ messages })) ?? "") as { parts: { content: string }[] }[];
  expect(kept.map(({ parts }) => parts[0]?.content.length)).toEqual([65_536 - 4, 4]);
});

test.each([
  [
    "a stream in pieces",
    true,
    ['data: {"choices":[{"delta":{"content":"Rhi', 'ne"}}]}\n\ndata: {"choices":[{"delta":{}}]}\n\ndata: [DONE]\n\n'],
  ],
  ["a whole answer", false, ['{"choices":[{"message":{"content":"Rhine"}}]}']],
])("the text of %s is recorded, and passed on untouched", (_, streamed, pieces) => {
  const client = new Client();
  const sink = new RecordingSink(client, { streamed });
  sink.head(200, []);
  for (const piece of pieces) sink.chunk(Buffer.from(piece));
  sink.end();
  expect(JSON.parse(sink.outputMessages ?? "")).toEqual([
    { role: "assistant", parts: [{ type: "text", content: "Rhine" }] },
  ]);
  expect(client.text).toBe(pieces.join(""));
});
