import { expect, test } from "vitest";
import { TextSink } from "../../../src/tasks/answer-sink.ts";

const event = (data: object | string): Buffer =>
  Buffer.from(`data: ${typeof data === "string" ? data : JSON.stringify(data)}\n\n`);
const delta = (fields: object, finish: string | null = null): object => ({
  choices: [{ index: 0, delta: fields, finish_reason: finish }],
});

test("a stream becomes text, reasoning, finish reason and usage, however it is cut", async () => {
  const seen: string[] = [];
  const sink = new TextSink((text) => seen.push(text));
  sink.head(200, ["x-assistant-model", "river"]);
  const stream = Buffer.concat([
    event(delta({ reasoning_content: "hm" })),
    event(delta({ content: "é" })),
    event(delta({ content: "!" })),
    event(delta({}, "length")),
    event({ choices: [], usage: { prompt_tokens: 3, completion_tokens: 2 } }),
    event("[DONE]"),
  ]);
  for (const byte of stream) sink.chunk(Buffer.from([byte]));
  sink.end();
  expect(await sink.answer).toEqual({
    text: "é!",
    reasoning: "hm",
    finishReason: "length",
    usage: { promptTokens: 3, completionTokens: 2 },
    model: "river",
  });
  expect(seen).toEqual(["é", "!"]);
});

test("an event that is no JSON is an error of the engine", async () => {
  const sink = new TextSink(() => {});
  sink.chunk(event("{no"));
  sink.end();
  await expect(sink.answer).rejects.toMatchObject({ code: "engine_error" });
});
