import { expect, test } from "vitest";
import { AssistantError, isAssistantError } from "../../../src/core/errors.ts";
import {
  decodeChat,
  decodeCompletion,
  decodeDetokenize,
  decodeInfill,
  decodeTokenize,
} from "../../../src/gateway/doors/llamacpp/decode.ts";
import { errorBody } from "../../../src/gateway/doors/llamacpp/error-body.ts";
import type { DecodedBody } from "../../../src/gateway/front/door.ts";
import { parseTarget } from "../../../src/gateway/front/target.ts";

const decoded = (decode: typeof decodeTokenize, body: object, url = "/tokenize"): DecodedBody =>
  decode(Buffer.from(JSON.stringify(body)), {}, parseTarget(url), { tenant: "local", models: null }) as DecodedBody;

/** The field that is refused; null: none. */
function refusal(decode: typeof decodeTokenize, body: object): string | null {
  try {
    decoded(decode, body).checked?.();
    return null;
  } catch (error) {
    if (isAssistantError(error)) return error.param;
    throw error;
  }
}

test("the body's model counts, else the query's, else there is none", () => {
  const body = { content: "a" };
  expect(decoded(decodeTokenize, { ...body, model: "river" }, "/tokenize?model=lake").model).toBe("river");
  expect(decoded(decodeTokenize, body, "/tokenize?model=org%2Flake").model).toBe("org/lake");
  expect(decoded(decodeTokenize, body).model).toBe("");
});

test("what computes nothing has no prompt and no tokens to wait for", () => {
  for (const call of [
    decoded(decodeTokenize, { content: "a long text" }),
    decoded(decodeDetokenize, { tokens: [1] }),
    decoded(decodeChat, { messages: [{ role: "user", content: "Hi" }], stream: true }),
  ])
    expect([call.prompt, call.checked?.().prompt, call.streamed, call.maxTokens]).toEqual([{}, {}, false, 0]);
});

test("a completion has the fields that the scheduler needs, and its bytes as they were", () => {
  const body = { prompt: ["a", 5, "b"], n_predict: 7, stream: true, top_k: 3 };
  const call = decoded(decodeCompletion, body);
  expect([call.prompt.text, call.streamed, call.maxTokens]).toEqual([body.prompt, true, 7]);
  expect(call.checked?.().body.bytes.toString()).toBe(JSON.stringify(body));
});

test("a completion that has to be put otherwise keeps its prompt", () => {
  const { body } = decoded(decodeCompletion, { prompt: { prompt_string: "a" }, grammar: null }).checked?.() ?? {};
  expect(JSON.parse(body?.bytes.toString() ?? "")).toEqual({ prompt: { prompt_string: "a" } });
});

test("the prompt of a gap is what stands around it, other files first", () => {
  const call = decoded(decodeInfill, {
    input_extra: [{ filename: "a.ts", text: "A" }],
    input_prefix: "B",
    input_suffix: "C",
  });
  expect(call.prompt.text).toBe("A\nB\nC");
});

const gap = { input_prefix: "a", input_suffix: "b" };
test.each<[string | null, typeof decodeTokenize, object]>([
  [null, decodeTokenize, { content: ["a", 5], add_special: true, parse_special: false, with_pieces: true }],
  [null, decodeTokenize, { content: "" }],
  ["content", decodeTokenize, {}],
  ["content", decodeTokenize, { content: ["a", -1] }],
  ["content", decodeTokenize, { content: { text: "a" } }],
  ["content", decodeTokenize, { content: "a".repeat(4 * 2 ** 20 + 1) }],
  ["with_pieces", decodeTokenize, { content: "a", with_pieces: 1 }],
  [null, decodeDetokenize, { tokens: [] }],
  ["tokens", decodeDetokenize, {}],
  ["tokens", decodeDetokenize, { tokens: [1.5] }],
  ["tokens", decodeDetokenize, { tokens: [2 ** 31] }],
  ["messages", decodeChat, {}],
  ["messages[0].role", decodeChat, { messages: [{ role: "wizard", content: "Hi" }] }],
  [null, decodeCompletion, { prompt: [1, 2] }],
  [null, decodeCompletion, { prompt: ["a"] }],
  [null, decodeCompletion, { prompt: { prompt_string: "a", multimodal_data: ["aGk="] } }],
  ["prompt", decodeCompletion, {}],
  ["prompt", decodeCompletion, { prompt: ["a", "b"] }],
  ["prompt", decodeCompletion, { prompt: [] }],
  ["prompt", decodeCompletion, { prompt: { text: "a" } }],
  ["n", decodeCompletion, { prompt: "a", n: 2 }],
  ["n_predict", decodeCompletion, { prompt: "a", n_predict: 1e12 }],
  ["grammar", decodeCompletion, { prompt: "a", grammar: 5 }],
  [null, decodeInfill, gap],
  ["input_suffix", decodeInfill, { input_prefix: "a" }],
  ["input_prefix", decodeInfill, { ...gap, input_prefix: 5 }],
  ["prompt", decodeInfill, { ...gap, prompt: [1] }],
  ["input_extra[0].text", decodeInfill, { ...gap, input_extra: [{ filename: "a" }] }],
  ["samplers", decodeInfill, { ...gap, samplers: ["infill"] }],
])("%s is refused where it is wrong (%#)", (param, decode, body) => {
  expect(refusal(decode, body)).toBe(param);
});

test.each([
  ["invalid_request", 400, "invalid_request_error"],
  ["context_length_exceeded", 400, "exceed_context_size_error"],
  ["unsupported_capability", 400, "not_supported_error"],
  ["model_not_found", 404, "not_found_error"],
  ["invalid_api_key", 401, "authentication_error"],
  ["model_failed", 503, "unavailable_error"],
  ["engine_error", 502, "server_error"],
] as const)("%s is told in llama-server's words", (code, status, type) => {
  const error = new AssistantError(code, "It is so.", { param: "content", counts: { n_ctx: 5 } });
  expect(errorBody(error, "req_1")).toEqual({
    error: { code: status, message: "It is so.", type, param: "content", request_id: "req_1", n_ctx: 5 },
  });
});
