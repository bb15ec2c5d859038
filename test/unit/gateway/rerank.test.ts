import { expect, test } from "vitest";
import { decodeRerank, decodeScore, MAX_DOCUMENTS } from "../../../src/gateway/doors/openai/rerank.ts";

const decoded = (decode: typeof decodeRerank, body: object) => decode(Buffer.from(JSON.stringify(body)));
const refusal = (decode: typeof decodeRerank, body: object): string | null => {
  try {
    decoded(decode, body).checked?.();
    return null;
  } catch (error) {
    return (error as { param: string | null }).param;
  }
};
const rerank = { model: "judge", query: "which?", documents: ["one", { text: "two", id: 7 }] };
const score = { model: "judge", text_1: "which?", text_2: ["one", "two"] };

test("a request is passed on as it was written, and every text of it counts as prompt", () => {
  const { model, prompt, streamed, maxTokens, checked } = decoded(decodeRerank, rerank);
  expect([model, prompt, streamed, maxTokens]).toEqual(["judge", { text: ["which?", rerank.documents] }, false, 0]);
  expect(checked?.().body.json).toEqual(rerank);
  expect(refusal(decodeScore, score)).toBeNull();
  expect(refusal(decodeScore, { text_1: ["which?"], text_2: "one" })).toBeNull();
  expect(refusal(decodeScore, { text_1: ["a", "b"], text_2: ["one", "two"] })).toBeNull();
});

test.each<[string, typeof decodeRerank, object]>([
  ["query", decodeRerank, { ...rerank, query: undefined }],
  ["query", decodeRerank, { ...rerank, query: "" }],
  ["query", decodeRerank, { ...rerank, query: ["which?"] }],
  ["documents", decodeRerank, { ...rerank, documents: undefined }],
  ["documents", decodeRerank, { ...rerank, documents: [] }],
  ["documents", decodeRerank, { ...rerank, documents: "one" }],
  ["documents", decodeRerank, { ...rerank, documents: Array.from({ length: MAX_DOCUMENTS + 1 }, () => "x") }],
  ["documents[1]", decodeRerank, { ...rerank, documents: ["one", ""] }],
  ["documents[1]", decodeRerank, { ...rerank, documents: ["one", { title: "two" }] }],
  ["documents[0]", decodeRerank, { ...rerank, documents: [null] }],
  ["top_n", decodeRerank, { ...rerank, top_n: 0 }],
  ["top_n", decodeRerank, { ...rerank, top_n: 1.5 }],
  ["return_documents", decodeRerank, { ...rerank, return_documents: "yes" }],
  ["texts", decodeRerank, { ...rerank, texts: ["one"] }],
  ["text_1", decodeScore, { ...score, text_1: undefined }],
  ["text_1", decodeScore, { ...score, text_1: ["a", "b", "c"] }],
  ["text_1", decodeScore, { text_1: ["a", "b"], text_2: "one" }],
  ["text_1", decodeScore, { ...score, text_1: [] }],
  ["text_2", decodeScore, { ...score, text_2: [] }],
  ["text_2", decodeScore, { ...score, text_2: ["one", 2] }],
])("%s is refused where it is wrong", (param, decode, body) => {
  expect(refusal(decode, body)).toBe(param);
});
