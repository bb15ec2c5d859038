import { describe, expect, test } from "vitest";
import { AnswerTensors, type InferResponse } from "../../../src/gateway/doors/kserve/answer.ts";
import { generateJson, inferJson } from "../../../src/gateway/doors/kserve/wire.ts";
import { RawAnswer } from "../../../src/gateway/front/translated-sink.ts";

const answerTo = (outputs: readonly string[] = [], extra: readonly string[] = []): AnswerTensors =>
  new AnswerTensors({ model: "river", id: "x", outputs }, extra);
const read = ({ outputs }: InferResponse): unknown => Object.fromEntries(outputs.map(({ name, data }) => [name, data]));

const usage = { prompt_tokens: 3, completion_tokens: 2 };
const completion = {
  choices: [
    { index: 1, text: "b", finish_reason: "stop" },
    { index: 0, text: "a", finish_reason: "length" },
  ],
  usage,
};

describe("an answer in one piece", () => {
  test("has the texts in the order of the prompts", () => {
    expect(answerTo().whole(completion)).toMatchObject({
      model: "river",
      id: "x",
      outputs: [{ shape: [2] }, { shape: [2] }],
    });
    expect(read(answerTo().whole(completion))).toEqual({ text_output: ["a", "b"], finish_reason: ["length", "stop"] });
  });

  test("has the outputs that were asked for, and no others", () => {
    expect(read(answerTo(["num_output_tokens", "tool_calls"]).whole(completion))).toEqual({
      num_output_tokens: [2],
      tool_calls: ["[]", "[]"],
    });
    expect(read(answerTo([], ["num_input_tokens"]).whole(completion))).toMatchObject({ num_input_tokens: [3] });
  });

  test("of a chat has the calls of functions", () => {
    const calls = [{ id: "1", function: { name: "f", arguments: "{}" } }];
    const message = { content: null, tool_calls: calls };
    expect(read(answerTo().whole({ choices: [{ index: 0, message, finish_reason: "tool_calls" }] }))).toEqual({
      text_output: [""],
      finish_reason: ["tool_calls"],
      tool_calls: [JSON.stringify(calls)],
    });
  });

  test("of embeddings is one matrix", () => {
    const data = [
      { index: 1, embedding: [3, 4] },
      { index: 0, embedding: [1, 2] },
    ];
    expect(answerTo().whole({ data, usage }).outputs).toEqual([
      { name: "embedding", datatype: "FP32", shape: [2, 2], data: [1, 2, 3, 4] },
    ]);
  });
});

test("a stream has a part for each text, and ends with why and with the counts", () => {
  const answer = answerTo([], ["num_output_tokens"]);
  const parts = [
    { choices: [{ index: 0, delta: { role: "assistant", content: null } }] },
    { choices: [{ index: 0, delta: { content: "a" } }] },
    { choices: [{ index: 0, delta: { content: "b" }, finish_reason: "stop" }] },
    { choices: [], usage },
  ].map((chunk) => answer.chunk(chunk));
  expect(parts.map((part) => part && [read(part), part.parameters])).toEqual([
    null,
    [{ text_output: ["a"], finish_reason: [""] }, { triton_final_response: false }],
    null,
    null,
  ]);
  const last = answer.end();
  expect(last.parameters).toEqual({ triton_final_response: true });
  expect(read(last)).toEqual({ text_output: ["b"], finish_reason: ["stop"], num_output_tokens: [2] });
});

describe("written for HTTP", () => {
  const response = answerTo().whole(completion);

  test("JSON has the data of all outputs", () => {
    expect(inferJson(response, () => false)).toEqual({
      ...{ model_name: "river", model_version: "1", id: "x" },
      outputs: [
        { name: "text_output", datatype: "BYTES", shape: [2], data: ["a", "b"] },
        { name: "finish_reason", datatype: "BYTES", shape: [2], data: ["length", "stop"] },
      ],
    });
  });

  test("binary outputs follow the JSON, whose length a header says", () => {
    const raw = inferJson(response, (name) => name === "text_output");
    if (!(raw instanceof RawAnswer)) throw new Error("expected bytes");
    const length = Number(raw.headers[raw.headers.indexOf("Inference-Header-Content-Length") + 1]);
    const json = JSON.parse(raw.bytes.subarray(0, length).toString()) as { outputs: object[] };
    expect(json.outputs[0]).toEqual({
      ...{ name: "text_output", datatype: "BYTES", shape: [2], parameters: { binary_data_size: 10 } },
    });
    expect(raw.bytes.subarray(length).toString("latin1")).toBe("\u0001\0\0\0a\u0001\0\0\0b");
  });

  test("generate has a field for each output", () => {
    expect(generateJson(response)).toEqual({
      ...{ model_name: "river", model_version: "1", id: "x" },
      text_output: ["a", "b"],
      finish_reason: ["length", "stop"],
    });
  });
});
