import { describe, expect, it } from "vitest";
import type { JsonObject } from "../../../src/core/inference.ts";
import { decodeChat, decodeCompletion } from "../../../src/gateway/doors/openai/chat.ts";
import type { DecodedBody } from "../../../src/gateway/front/door.ts";
import { RecordingSink } from "../../support/calls.ts";

const ports = {} as Parameters<typeof decodeChat>[1];
const bytesOf = (json: object): Buffer => Buffer.from(JSON.stringify({ model: "river", ...json }));
const chat = (fields: object): DecodedBody =>
  decodeChat(bytesOf({ messages: [{ role: "user", content: "Hello" }], ...fields }), ports);

/** What a client gets of an answer, an object for each event. */
function answered(decoded: DecodedBody, ...answers: readonly JsonObject[]): JsonObject[] {
  const client = new RecordingSink();
  const sink = decoded.translate?.(client) ?? client;
  const events = answers.map((answer) => `data: ${JSON.stringify(answer)}\n\n`).join("");
  sink.head(200, []);
  sink.end(Buffer.from(decoded.streamed ? `${events}data: [DONE]\n\n` : JSON.stringify(answers[0])));
  if (!decoded.streamed) return [JSON.parse(client.text)];
  expect(client.text.endsWith("data: [DONE]\n\n")).toBe(true);
  return [...client.text.matchAll(/^data: ({.*})$/gm)].map(([, data = ""]) => JSON.parse(data));
}

describe("the service tier of a chat", () => {
  it("is its priority, and part of the answer", () => {
    expect(["flex", "auto", "default", "priority"].map((tier) => chat({ service_tier: tier }).priority)).toEqual([
      ...[25, undefined, undefined, 75],
    ]);
    expect(answered(chat({ service_tier: "flex" }), { id: "a" })).toEqual([{ id: "a", service_tier: "flex" }]);
    expect(answered(chat({ service_tier: "auto", stream: true }), { id: "a" }, { id: "b" })).toEqual([
      { id: "a", service_tier: "default" },
      { id: "b", service_tier: "default" },
    ]);
  });

  it("is what a provider says that it was", () => {
    expect(answered(chat({ service_tier: "auto" }), { service_tier: "flex" })).toEqual([{ service_tier: "flex" }]);
  });

  it("leaves answers without one untouched", () => {
    expect(chat({}).translate).toBeUndefined();
    expect(() => chat({ service_tier: "gold" }).checked?.()).toThrow(/service_tier/);
  });
});

describe("the echo of a completion", () => {
  const complete = (fields: object): DecodedBody =>
    decodeCompletion(bytesOf({ prompt: "The ", echo: true, ...fields }));
  const choice = (index: number, text: string): object => ({ index, text });

  it("puts the prompt before its answer, whole or streamed", () => {
    expect(complete({}).body.json["echo"]).toBeUndefined();
    expect(answered(complete({}), { choices: [choice(0, "Rhine")] })).toEqual([{ choices: [choice(0, "The Rhine")] }]);
    const parts = ["Rh", "ine"].map((text) => ({ choices: [choice(0, text)] }));
    expect(answered(complete({ stream: true }), ...parts)).toEqual([
      { choices: [choice(0, "The Rh")] },
      { choices: [choice(0, "ine")] },
    ]);
  });

  it("puts each of several prompts before all of its answers", () => {
    const choices = [0, 1, 2, 3].map((index) => choice(index, "x"));
    expect(answered(complete({ prompt: ["a", "b"], n: 2 }), { choices })).toEqual([
      { choices: [choice(0, "ax"), choice(1, "ax"), choice(2, "bx"), choice(3, "bx")] },
    ]);
  });

  it.each([{ prompt: [1, 2] }, { logprobs: 1 }])("is refused with %o", (fields) => {
    expect(() => complete(fields).checked?.()).toThrow(/echo/);
  });
});
