import { expect, test } from "vitest";
import type { Operation } from "../../../src/core/model.ts";
import { errorBody } from "../../../src/gateway/front/error-body.ts";
import { engineError } from "../../../src/upstreams/answer/engine-error.ts";

const answered = (status: number, message: string, operation: Operation = "chat", more: object = {}) =>
  engineError(status, JSON.stringify({ error: { code: status, message, type: "server_error", ...more } }), {
    model: "river",
    operation,
  });

test.each<[string, string, string | null, Operation?]>([
  [
    "image input is not supported - hint: if this is unexpected, you may need to provide the mmproj",
    "image input is not supported",
    "messages",
  ],
  [
    "Failed to parse messages: [json.exception.type_error.302] type must be string, but is null",
    "type must be string",
    "messages",
  ],
  ['Failed to parse tools: Missing tool type: {}; tools = [\n  {"secret": 1}\n]', "Missing tool type", "tools"],
  [
    "[json.exception.parse_error.101] parse error at line 1, column 47: syntax error - invalid string; last read: '\"a\\ud800b'",
    "invalid string",
    null,
  ],
  ["[json.exception.out_of_range.406] number overflow parsing '1e400'", "number overflow", null],
  ["Unsupported param: best_of", "best_of", "best_of", "completion"],
  ["Unknown reasoning format: x", "reasoning format", "reasoning_format"],
  ["Failed to tokenize prompt", "tokenize", null, "completion"],
  [
    "Failed to parse tool call arguments as JSON: [json.exception.parse_error.101] parse error at line 1, column 2: syntax error",
    "tool call arguments",
    "messages",
  ],
  [
    "Unable to generate parser for this template. Automatic parser generation failed: JSON schema error at #/properties/a: cannot resolve $ref",
    "cannot resolve $ref",
    "tools",
  ],
  ["top_logprobs requires logprobs to be set to true.", "requires logprobs", "top_logprobs"],
  ["Failed to initialize samplers: std::exception", "the answer is to continue", "messages"],
  ["got exception: Unexpected empty grammar stack after accepting piece: . (30)", "grammar", "grammar"],
])(
  "what the request is to blame for is a 400, though the engine calls it 500: %s",
  (message, says, param, operation = "chat") => {
    const error = answered(500, message, operation);
    expect([error.status, error.code, error.param]).toEqual([400, "invalid_request", param]);
    expect(error.message).toContain(says);
    expect(error.message).not.toMatch(/secret|ud800/);
  },
);

test("a refusal in plain text is the request's fault, a page is the engine's", () => {
  const asked = { model: "river", operation: "transcription" } as const;
  expect(engineError(400, "Invalid request", asked)).toMatchObject({
    code: "invalid_request",
    message: 'The engine of "river" refuses the request: Invalid request.',
  });
  for (const [status, body] of [
    [400, "<h1>Bad request</h1>"],
    [400, ""],
    [500, "Invalid request"],
  ] as const)
    expect(engineError(status, body, asked).code).toBe("engine_error");
});

test.each(["", "Payload too large", '{"error": {"message": "no"}}'])(
  "a body that is too large for the engine is a 413: %j",
  (body) => {
    const error = engineError(413, body, { model: "river", operation: "chat" });
    expect([error.status, error.code, error.param]).toEqual([413, "body_too_large", "messages"]);
  },
);

test.each(["Compute error.", "failed to process mtmd chunk", "decode failed"])(
  "a fault of the engine stays one: %s",
  (message) => {
    expect(answered(500, message)).toMatchObject({ status: 502, code: "engine_error" });
  },
);

test("an input that is longer than a batch, or than the context, is too long, with both lengths", () => {
  for (const message of [
    "input (602 tokens) is too large to process. increase the physical batch size (current batch size: 256)",
    "input (602 tokens) is larger than the max context size (256 tokens). skipping",
  ]) {
    const error = answered(500, message, "embedding");
    expect(error).toMatchObject({
      status: 400,
      code: "context_length_exceeded",
      param: "input",
      counts: { n_prompt_tokens: 602, n_ctx: 256 },
    });
    expect(errorBody(error, "1").error).toMatchObject({ n_prompt_tokens: 602, n_ctx: 256 });
  }
});

test("a batch that holds more than a slot's context does not count", () => {
  const message =
    "input (602 tokens) is too large to process. increase the physical batch size (current batch size: 512)";
  const asked = { model: "river", operation: "embedding", contextTokens: 256 } as const;
  expect(engineError(500, JSON.stringify({ error: { message } }), asked).message).toContain("holds 256");
});

test("lengths stand beside the error, as llama-server gives them, also from another daemon", () => {
  const error = answered(400, "request (1500 tokens) exceeds the available context size", "chat", {
    type: "exceed_context_size_error",
    n_prompt_tokens: 1500,
    n_ctx: 1024,
  });
  const body = errorBody(error, "1");
  expect(body.error).toMatchObject({
    code: "context_length_exceeded",
    param: "messages",
    n_prompt_tokens: 1500,
    n_ctx: 1024,
  });
  const passedOn = engineError(400, JSON.stringify(body), { model: "river", operation: "chat" });
  expect(errorBody(passedOn, "2").error).toMatchObject({
    code: "context_length_exceeded",
    n_prompt_tokens: 1500,
    n_ctx: 1024,
  });
});

test.each([
  [404, { object: "error", message: "The model `x` does not exist.", code: 404 }, "The model `x` does not exist."],
  [
    422,
    { detail: [{ loc: ["body", "top_p"], msg: "too large" }, { msg: "and so on" }] },
    "body.top_p: too large; and so on.",
  ],
  [400, { detail: "No prompt." }, "No prompt."],
  [400, { error: "prompt required" }, "prompt required."],
])("what other servers than llama.cpp's say with %i is understood", (status, body, says) => {
  const error = engineError(status, JSON.stringify(body), { model: "river", operation: "chat" });
  expect([error.status, error.code]).toEqual([400, "invalid_request"]);
  expect(error.message).toContain(says);
});

test.each(["null", "[]", '"text"', "<html>"])("an error answer of %s is the engine's fault", (body) => {
  expect(engineError(500, body, { model: "river", operation: "chat" }).code).toBe("engine_error");
});
