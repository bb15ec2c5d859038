import { describe, expect, test } from "vitest";
import type { ModelSpec } from "../../../src/core/model.ts";
import { decodeInfer } from "../../../src/gateway/doors/kserve/decode.ts";
import { KserveModels } from "../../../src/gateway/doors/kserve/models.ts";
import {
  generateRequestOf,
  type InferRequest,
  inferHeadOf,
  inferRequestOf,
  namedBy,
} from "../../../src/gateway/doors/kserve/request.ts";
import { type Tensor, tensorHead, tensorOf } from "../../../src/gateway/doors/kserve/tensors.ts";
import { testModel } from "../../support/fake-engine.ts";

const chat = testModel({ name: "river" });
const vectors = testModel({ name: "vectors", kind: "embedding" });
const chatOnly: ModelSpec = { ...testModel({ name: "cloud" }), operations: ["chat"] };

const tensor = (name: string, datatype: string, ...data: unknown[]): Tensor =>
  tensorOf(tensorHead(name, datatype, [data.length]), data);
const texts = (...data: string[]): Tensor => tensor("text_input", "BYTES", ...data);

const request = (changes: Partial<InferRequest> = {}): InferRequest => ({
  model: "river",
  version: "",
  id: "",
  parameters: {},
  inputs: [texts("Once")],
  outputs: [],
  ...changes,
});
const decoded = (changes: Partial<InferRequest>, model: ModelSpec | undefined = chat, streams = false) =>
  decodeInfer(request(changes), model, streams);
const body = (...args: Parameters<typeof decoded>): unknown => decoded(...args).call.body.json;

describe("a request becomes", () => {
  test("a completion of one text, or of several", () => {
    expect(decoded({}).call).toMatchObject({ operation: "completion", wire: "openai.completion", streamed: false });
    expect(body({})).toEqual({ model: "river", prompt: "Once" });
    expect(body({ inputs: [texts("a", "b")] })).toEqual({ model: "river", prompt: ["a", "b"] });
  });

  test("a chat, where messages say so or the model does nothing else", () => {
    const messages = [{ role: "user", content: "Hi" }];
    const inputs = [tensor("messages", "BYTES", JSON.stringify(messages))];
    expect(decoded({ inputs }).call).toMatchObject({ operation: "chat", wire: "openai.chat" });
    expect(body({ inputs })).toEqual({ model: "river", messages });
    expect(body({}, chatOnly)).toMatchObject({ messages: [{ role: "user", content: "Once" }] });
  });

  test("embeddings", () => {
    expect(decoded({ inputs: [texts("a", "b")] }, vectors, true).call).toMatchObject({
      operation: "embedding",
      wire: "openai.embedding",
      streamed: false,
      body: { json: { input: ["a", "b"] } },
    });
  });

  test("a request for a model that is not there, which the core refuses", () => {
    expect(decodeInfer(request({ inputs: [tensor("pixels", "INT32", 1)] }), undefined, false).call.model).toBe("river");
  });
});

describe("settings", () => {
  test("come as parameters, as tensors or as one text, under the names that clients of Triton know", () => {
    expect(
      body({
        parameters: { top_p: 0.5, random_seed: 7, sampling_parameters: '{"temperature": "0.1", "top_p": 0.9}' },
        inputs: [
          texts("Once"),
          tensor("max_tokens", "INT32", 5),
          tensor("stop_words", "BYTES", "x"),
          tensor("min_p", "FP32", 0),
        ],
      }),
    ).toEqual({
      ...{ model: "river", prompt: "Once", temperature: 0.1, top_p: 0.5, seed: 7 },
      ...{ max_tokens: 5, stop: ["x"], min_p: 0 },
    });
  });

  test("that were written as text are read where the field is no text", () => {
    expect(
      body({ parameters: { max_tokens: "5", stop: "5", json_schema: '{"type":"object"}', user: "5" } }),
    ).toMatchObject({
      max_tokens: 5,
      stop: "5",
      json_schema: { type: "object" },
      user: "5",
    });
  });

  test("unknown to us reach the engine, whatever they are called", () => {
    expect(body({ parameters: { constructor: 1, toString: "x", dry_base: 2 } })).toMatchObject({
      dry_base: 2,
      constructor: 1,
    });
  });

  test("of a request: priority as Triton counts it, and its time", () => {
    const priorityOf = (priority: unknown) => decoded({ parameters: { priority } }).call.priority;
    expect([1, 51, 101, 5000].map(priorityOf)).toEqual([100, 50, 0, 0]);
    expect(priorityOf(0)).toBeUndefined();
    const { deadlineAt = 0 } = decoded({ parameters: { timeout: 60_000_000 } }).call;
    expect((deadlineAt ?? 0) - Date.now()).toBeGreaterThan(50_000);
    expect(decoded({}).call).not.toHaveProperty("deadlineAt");
  });

  test("decide whether an answer is streamed, and what is counted", () => {
    expect(decoded({}, chat, true).call.streamed).toBe(true);
    expect(decoded({ parameters: { stream: false } }, chat, true).call.streamed).toBe(false);
    expect(body({ parameters: { return_num_input_tokens: true } }, chat, true)).toMatchObject({
      stream: true,
      stream_options: { include_usage: true },
    });
  });
});

test.each<[string, Partial<InferRequest>, ModelSpec, boolean, string, string]>([
  [
    "an unknown tensor",
    { inputs: [texts("a"), tensor("pixels", "INT32", 1)] },
    chat,
    false,
    "pixels",
    'is none of "river"; it has text_input',
  ],
  ["an unknown output", { outputs: ["logits"] }, chat, false, "outputs", "it has text_output, finish_reason"],
  ["no text", { inputs: [] }, chat, false, "text_input", "is missing"],
  ["an empty text tensor", { inputs: [texts()] }, chat, false, "text_input", "has no element"],
  [
    "another datatype",
    { inputs: [tensor("text_input", "INT32", 1)] },
    chat,
    false,
    "text_input",
    "is of INT32; expected BYTES",
  ],
  [
    "two prompts",
    { inputs: [texts("a"), tensor("messages", "BYTES", "[]")] },
    chat,
    false,
    "messages",
    "is one too many",
  ],
  [
    "messages that are no JSON",
    { inputs: [tensor("messages", "BYTES", "Hi")] },
    chat,
    false,
    "messages",
    "is not JSON",
  ],
  [
    "messages for an embedding model",
    { inputs: [tensor("messages", "BYTES", "[]")] },
    vectors,
    false,
    "messages",
    "is none of",
  ],
  [
    "several texts of a chat model",
    { inputs: [texts("a", "b")] },
    chatOnly,
    false,
    "text_input",
    "only supports chats",
  ],
  ["several texts in a stream", { inputs: [texts("a", "b")] }, chat, true, "text_input", "if the answer is streamed"],
  ["several answers in a stream", { parameters: { n: 2 } }, chat, true, "n", "must be 1"],
  ["a stream where there is none", { parameters: { stream: true } }, chat, false, "stream", "does not stream"],
  [
    "a setting given twice",
    { parameters: { top_k: 1 }, inputs: [texts("a"), tensor("top_k", "INT32", 2)] },
    chat,
    false,
    "top_k",
    "send one",
  ],
  ["the prompt as a parameter", { parameters: { prompt: "x" } }, chat, false, "prompt", "is no parameter"],
  ["the model as a parameter", { parameters: { model: "x" } }, chat, false, "model", "is no parameter"],
  ["a sequence", { parameters: { sequence_id: 5 } }, chat, false, "sequence_id", "is not supported"],
  [
    "a repeated prompt",
    { parameters: { exclude_input_in_output: false } },
    chat,
    false,
    "exclude_input_in_output",
    "never repeated",
  ],
  ["a priority that is none", { parameters: { priority: -1 } }, chat, false, "priority", "an integer of at least 0"],
  [
    "settings that are no JSON",
    { parameters: { sampling_parameters: "hot" } },
    chat,
    false,
    "sampling_parameters",
    "JSON object",
  ],
])("refuses %s", (_, changes, model, streams, param, message) => {
  expect(() => decoded(changes, model, streams)).toThrow(
    expect.objectContaining({ code: "invalid_request", param, message: expect.stringContaining(message) }),
  );
});

test("a value that is wrong for its field is refused by its name when the body is checked", () => {
  const { checked } = decoded({ parameters: { temperature: "hot" } }).call;
  expect(checked).toThrow(expect.objectContaining({ param: "temperature" }));
});

describe("an HTTP body", () => {
  const infer = (json: object, tail = Buffer.alloc(0), length?: string) => {
    const head = Buffer.from(JSON.stringify(json));
    const headers = tail.length > 0 ? { "inference-header-content-length": length ?? String(head.length) } : {};
    return inferRequestOf(
      Buffer.concat([head, tail]),
      inferHeadOf(Buffer.concat([head, tail]), headers),
      namedBy("org/river/versions/1"),
    );
  };
  const input = { name: "text_input", datatype: "BYTES", shape: [1] };

  test("names its model in the path, with slashes and a version", () => {
    expect(namedBy("org/river/versions/1")).toEqual({ model: "org/river", version: "1" });
    expect(namedBy("river")).toEqual({ model: "river", version: "" });
  });

  test("may be followed by tensors, and says which outputs are binary", () => {
    const { request: read, isBinary } = infer(
      {
        id: "x",
        model_name: "org/river",
        parameters: { binary_data_output: true, top_k: 1 },
        inputs: [
          { ...input, parameters: { binary_data_size: 5 } },
          { name: "seed", datatype: "INT64", shape: [1], data: [1] },
        ],
        outputs: [{ name: "a" }, { name: "b", parameters: { binary_data: false } }],
      },
      Buffer.from("\u0001\0\0\0z"),
    );
    expect(read).toMatchObject({ id: "x", model: "org/river", parameters: { top_k: 1 }, outputs: ["a", "b"] });
    expect(read.parameters).not.toHaveProperty("binary_data_output");
    expect(read.inputs.map(({ data }) => data)).toEqual([["z"], [1]]);
    expect([isBinary("a"), isBinary("b")]).toEqual([true, false]);
  });

  test.each<[string, () => unknown, string]>([
    ["an unknown field", () => infer({ inputs: [], input: 1 }), 'no field "input"'],
    [
      "another model than the path's",
      () => infer({ inputs: [], model_name: "lake" }),
      '"model_name" must be the one of the path',
    ],
    ["no inputs", () => infer({}), '"inputs" must be an array'],
    ["too many inputs", () => infer({ inputs: Array(65).fill(input) }), "at most 64 tensors"],
    ["an input without a name", () => infer({ inputs: [{}] }), '"inputs[0].name" must be a string'],
    [
      "an input without a shape",
      () => infer({ inputs: [{ ...input, shape: 1 }] }),
      '"inputs[0].shape" must be an array',
    ],
    [
      "shared memory",
      () => infer({ inputs: [{ ...input, parameters: { shared_memory_region: "r" } }] }),
      "shared_memory_region",
    ],
    [
      "classification",
      () => infer({ inputs: [], outputs: [{ name: "a", parameters: { classification: 3 } }] }),
      "classification",
    ],
    [
      "a size beyond the body",
      () => infer({ inputs: [{ ...input, parameters: { binary_data_size: 9 } }] }, Buffer.alloc(4)),
      "4 bytes follow",
    ],
    ["bytes that belong to no input", () => infer({ inputs: [] }, Buffer.alloc(4)), "4 bytes follow the JSON"],
    [
      "a length beyond the body",
      () => infer({ inputs: [] }, Buffer.alloc(4), "999"),
      "Inference-Header-Content-Length",
    ],
  ])("with %s is refused", (_, read, message) => {
    expect(read).toThrow(
      expect.objectContaining({ code: "invalid_request", message: expect.stringContaining(message) }),
    );
  });

  test("of generate has a text, and parameters beside it or under their name", () => {
    const json = { text_input: "Once", id: 5, top_k: 1, parameters: { seed: 2 } };
    expect(generateRequestOf(Buffer.from(JSON.stringify(json)), namedBy("river"))).toEqual(
      request({ id: "5", parameters: { top_k: 1, seed: 2 } }),
    );
  });
});

test.each([
  ["max_tokens", Number.NaN],
  ["temperature", Number.POSITIVE_INFINITY],
])("the parameter %s is refused when it is %d", (name, value) => {
  expect(() => decoded({ parameters: { [name]: value } })).toThrow(
    expect.objectContaining({ code: "invalid_request", param: name, message: expect.stringContaining(String(value)) }),
  );
  expect(() => decoded({ inputs: [texts("Once"), tensor(name, "FP64", value)] })).toThrow(
    expect.objectContaining({ code: "invalid_request", param: name }),
  );
});

test("a request that names no model is told so", () => {
  const directory = { find: () => undefined, all: () => [chat, vectors], createdAt: () => 0 };
  const control = { status: () => Promise.reject(new Error("not asked")) } as never;
  const models = new KserveModels({ directory, control, version: "1", onlyModels: null, isStopping: () => false });
  expect(() => models.asked({ model: "", version: "" }, {})).toThrow(
    expect.objectContaining({ code: "invalid_request", param: "model_name" }),
  );
});
