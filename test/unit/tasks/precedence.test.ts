import { expect, test } from "vitest";
import { ENGINE_SAMPLING } from "../../../src/core/model.ts";
import type { TaskBody } from "../../../src/tasks/body.ts";
import { modelNameOf, orderedOf, withoutNulls } from "../../../src/tasks/precedence.ts";

const local = { sampling: ENGINE_SAMPLING, source: { type: "file", path: "/river.gguf" } } as Parameters<
  typeof orderedOf
>[1];
const elsewhere = { ...local, source: { type: "provider" } } as Parameters<typeof orderedOf>[1];
const requestOf = (body: Partial<TaskBody>, model = local) => orderedOf({ prompt: "hello", ...body }, model).request;

test("provider_config.model_name wins over model; without either there is an error", () => {
  expect(modelNameOf({ model: "a", provider_config: { model_name: "b" } }, "c")).toBe("b");
  expect(modelNameOf({ model: "a", provider_config: {} }, "c")).toBe("a");
  expect(modelNameOf({}, "c")).toBe("c");
  expect(() => modelNameOf({}, null)).toThrow("model: expected the name of a model");
});

test("messages win over a prompt", () => {
  const messages = [{ role: "user" as const, content: "hi" }];
  expect(requestOf({ messages })["messages"]).toEqual(messages);
  expect(() => orderedOf({}, local)).toThrow("Expected a prompt or messages");
});

test("the input text follows the prompt after an empty line", () => {
  expect(requestOf({ input_text: "more" })["messages"]).toEqual([{ role: "user", content: "hello\n\nmore" }]);
});

test("a field wins over generation_params, provider_config, the model's settings and the default", () => {
  const sampling = { ...ENGINE_SAMPLING, temperature: 0.5 };
  const all = { temperature: 0, generation_params: { temperature: 0.2 }, provider_config: { temperature: 0.3 } };
  expect(requestOf(all)["temperature"]).toBe(0);
  const { temperature: _, ...two } = all;
  expect(requestOf(two)["temperature"]).toBe(0.2);
  expect(requestOf({ provider_config: { temperature: 0.3 } })["temperature"]).toBe(0.3);
  expect(requestOf({})["temperature"]).toBe(0.1);
  // What the model's file says is in its engine already.
  expect(requestOf({}, { ...local, sampling })).not.toHaveProperty("temperature");
});

test("the defaults are those of all models, but for a field that services do not know", () => {
  expect(requestOf({})).toMatchObject({ temperature: 0.1, max_tokens: 2048, top_p: 1, top_k: 40 });
  expect(requestOf({}, elsewhere)).not.toHaveProperty("top_k");
  expect(requestOf({ top_k: 5 }, elsewhere)).toMatchObject({ top_k: 5 });
});

test("output_schema wins over response_format", () => {
  const schema = { type: "object" };
  const { request, schema: checked } = orderedOf(
    { prompt: "hello", output_schema: schema, response_format: { type: "text" } },
    local,
  );
  expect(request["response_format"]).toEqual({ type: "json_schema", json_schema: { name: "output", schema } });
  expect(checked).toBe(schema);
});

test("an answer in JSON without a schema must be an object", () => {
  expect(orderedOf({ prompt: "hello", response_format: { type: "json_object" } }, local).schema).toEqual({
    type: "object",
  });
});

test("a grammar beside another structure is refused", () => {
  expect(() => requestOf({ grammar: "root ::= [a-z]", output_schema: {} })).toThrow("an answer can only follow one");
});

test("a grammar for a service elsewhere is refused", () => {
  expect(() => requestOf({ grammar: "root ::= [a-z]" }, elsewhere)).toThrow("follow no grammar");
});

test("extra_params cannot say what a task has a field for", () => {
  expect(requestOf({ extra_params: { min_p: 0.1 } })).toMatchObject({ min_p: 0.1 });
  expect(() => requestOf({ extra_params: { temperature: 1 } })).toThrow("extra_params.temperature");
});

test("null counts as missing", () => {
  expect(withoutNulls({ model: null, prompt: "hello" })).toEqual({ prompt: "hello" });
});
