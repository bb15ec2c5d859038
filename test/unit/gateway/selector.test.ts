import { expect, test } from "vitest";
import { decodeBody } from "../../../src/gateway/canonical/decode.ts";
import { generateRequestOf } from "../../../src/gateway/doors/kserve/request.ts";
import { selectorOf } from "../../../src/gateway/front/selector.ts";

const bytes = (json: object): Buffer => Buffer.from(JSON.stringify(json));

test("a request without capabilities has none in its selector", () => {
  expect(selectorOf({ "x-request-id": "1" }, { model: "river" }, null)).toEqual({ model: "river", among: null });
});

test("headers name capabilities in lower case with underscores, and count before the body", () => {
  const headers = { "x-capability-type": "chat", "x-capability-max-context": "8192", "x-capability-gpus": "2" };
  const { capabilities } = selectorOf(headers, { model: "", capabilities: { gpus: "1", zone: "eu" } }, null);
  expect(capabilities).toEqual({ type: "chat", max_context: "8192", gpus: "2", zone: "eu" });
});

test("the field `capability` of a body is taken out of what is sent on", () => {
  const decoded = decodeBody("chat", bytes({ messages: [], capability: { type: "chat", gpus: 2, vision: true } }));
  expect(decoded.capabilities).toEqual({ type: "chat", gpus: "2", vision: "true" });
  expect(JSON.parse(decoded.body.bytes.toString())).toEqual({ messages: [] });
});

test("KServe's parameter `capability` may be an object or its JSON text", () => {
  const named = { model: "", version: "" };
  for (const capability of [{ gpus: 2 }, '{"gpus": 2}']) {
    const { capabilities, parameters } = generateRequestOf(bytes({ text_input: "a", capability, seed: 1 }), named);
    expect([capabilities, parameters]).toEqual([{ gpus: "2" }, { seed: 1 }]);
  }
});

test.each([
  ["a list", [1]],
  ["a text that is not JSON", "chat"],
  ["a value that is an object", { type: {} }],
  ["a name with a space", { "a b": 1 }],
  ["too many of them", Object.fromEntries(Array.from({ length: 33 }, (_, index) => [`k${index}`, 1]))],
])("%s is refused", (_, capability) => {
  expect(() => decodeBody("chat", bytes({ messages: [], capability }))).toThrow(
    expect.objectContaining({ code: "invalid_request", param: expect.stringMatching(/^capability/) }),
  );
});
