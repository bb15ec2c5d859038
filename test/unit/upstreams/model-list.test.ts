import { expect, test } from "vitest";
import { listedModels } from "../../../src/upstreams/http/model-list.ts";

const list = (data: unknown): ReturnType<typeof listedModels> => listedModels(JSON.stringify(data));

test("kinds and contexts are read where an API states them, else kinds from names", () => {
  expect(
    list({
      data: [
        { id: "gpt-4o" },
        { id: "text-embedding-3-small" },
        { id: "whisper-1" },
        { id: "gpt-4o-mini-tts" },
        { id: "omni-moderation-latest" },
        { id: "vllm/model", max_model_len: 8192 },
        { id: "router/x", architecture: { output_modalities: ["text"] }, context_length: 131072 },
        { id: "router/painter", architecture: { output_modalities: ["image"] } },
        { id: "mistral-tiny", capabilities: { completion_chat: true }, max_context_length: 32768 },
        { id: "smollm2", kind: "chat", context_length: 4096 },
      ],
    }),
  ).toEqual([
    { id: "gpt-4o", kind: "chat", contextTokens: null },
    { id: "text-embedding-3-small", kind: "embedding", contextTokens: null },
    { id: "whisper-1", kind: "transcription", contextTokens: null },
    { id: "gpt-4o-mini-tts", kind: "speech", contextTokens: null },
    { id: "omni-moderation-latest", kind: "moderation", contextTokens: null },
    { id: "vllm/model", kind: "chat", contextTokens: 8192 },
    { id: "router/x", kind: "chat", contextTokens: 131072 },
    { id: "router/painter", kind: null, contextTokens: null },
    { id: "mistral-tiny", kind: "chat", contextTokens: 32768 },
    { id: "smollm2", kind: "chat", contextTokens: 4096 },
  ]);
});

test("a list that is the answer itself is read too, each model once, without names that no header could hold", () => {
  expect(
    list([
      { id: "a", type: "chat" },
      { id: "a" },
      { id: "b\nc" },
      { id: "x".repeat(300) },
      null,
      7,
      { name: "d" },
    ])?.map(({ id }) => id),
  ).toEqual(["a", "d"]);
});

test.each(["<html>", "{}", '{"data":7}', "null", '{"error":{"message":"no"}}'])("%s is no list", (text) => {
  expect(listedModels(text)).toBeNull();
});
