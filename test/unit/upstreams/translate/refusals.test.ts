import { expect, test } from "vitest";
import { answers } from "../../../fakes/dialects/server.ts";
import { type AskOptions, ask, type DialectName, type Fields, WEATHER } from "../../../support/translated.ts";

/** The code, status and field of a refusal; nothing is sent to the provider then. */
async function refusal(dialect: DialectName, fields: Fields, options: AskOptions = {}) {
  const { failure, request } = await ask(dialect, answers(500, "{}"), fields, options);
  expect(request).toBeNull();
  const { code, status, param, message } = failure?.reason ?? {};
  return { code, status, param, message, retry: failure?.retry };
}

const both: readonly (readonly [param: string, value: unknown])[] = [
  ["n", 2],
  ["logprobs", true],
  ["top_logprobs", 3],
  ["logit_bias", { 5: -100 }],
  ["grammar", 'root ::= "x"'],
  ["min_p", 0.1],
  ["repeat_penalty", 1.2],
  ["mirostat", 2],
  ["continue_final_message", true],
  ["chat_template_kwargs", { a: 1 }],
  ["id_slot", 3],
  ["cache_prompt", false],
  ["service_tier", "flex"],
  ["a_field_of_the_future", 1],
  ["reasoning_effort", "enormous"],
];

test.each([
  ...both.flatMap(([param, value]) => [["anthropic", param, value] as const, ["google", param, value] as const]),
  ["anthropic", "seed", 7] as const,
  ["anthropic", "presence_penalty", 0.5] as const,
  ["anthropic", "frequency_penalty", -0.5] as const,
  ["anthropic", "temperature", 1.5] as const,
  ["anthropic", "response_format", { type: "json_object" }] as const,
  // Of this model alone.
  ["google", "presence_penalty", 0.5] as const,
])("%s: %s of %j is refused", async (dialect, param, value) => {
  expect(await refusal(dialect, { [param]: value })).toMatchObject({
    code: "invalid_request",
    status: 400,
    param,
    retry: "never",
  });
});

test("a refusal names model, provider and field, and what to do", async () => {
  const { failure } = await ask("anthropic", answers(500, "{}"), { seed: 7 });
  expect(failure?.reason.message).toBe(
    'The field "seed" is not supported by "river": the provider "cloud" has no such setting.',
  );
  expect(failure?.reason.remedy).toBe("Remove it, or use a local model.");
});

test.each<[string, Fields, string | undefined, string]>([
  ["temperature beside thinking", { temperature: 0.5, reasoning_effort: "low" }, undefined, "temperature"],
  ["top_p beside temperature", { temperature: 0.5, top_p: 0.5 }, undefined, "top_p"],
  ["a temperature for a model that has none", { temperature: 0.5 }, "claude-opus-4-7", "temperature"],
  [
    "a forced tool beside thinking",
    { tools: [WEATHER], tool_choice: "required", reasoning_effort: "low" },
    undefined,
    "tool_choice",
  ],
  [
    "no thinking at all for a model that always thinks",
    { reasoning_effort: "none" },
    "claude-fable-5",
    "reasoning_effort",
  ],
  ["strict tools of a model without them", { tools: [strict()] }, "claude-3-haiku-20240307", "tools"],
  [
    "less room for the answer than thinking takes",
    { reasoning_effort: "low", max_tokens: 1000 },
    undefined,
    "max_tokens",
  ],
  ["a budget below the least", { reasoning_budget_tokens: 100 }, undefined, "reasoning_budget_tokens"],
  ["an effort and a budget", { reasoning_effort: "low", reasoning_budget_tokens: 2000 }, undefined, "reasoning_effort"],
])("anthropic: %s is refused", async (_, fields, model, param) => {
  const options = model === undefined ? {} : { model };
  expect(await refusal("anthropic", fields, options)).toMatchObject({ code: "invalid_request", param });
});

test.each<[string, Fields, string | undefined, string]>([
  ["one tool at a time", { tools: [WEATHER], parallel_tool_calls: false }, undefined, "parallel_tool_calls"],
  [
    "no thinking at all for a model that always thinks",
    { reasoning_effort: "none" },
    "gemini-3-pro-preview",
    "reasoning_effort",
  ],
  [
    "a strict schema beside tools",
    { tools: [WEATHER], response_format: format({ type: "object" }) },
    undefined,
    "response_format",
  ],
])("google: %s is refused", async (_, fields, model, param) => {
  const options = model === undefined ? {} : { model };
  expect(await refusal("google", fields, options)).toMatchObject({ code: "invalid_request", param });
});

function strict(): object {
  return { type: "function", function: { ...WEATHER.function, strict: true } };
}
function format(schema: object, isStrict = true): object {
  return { type: "json_schema", json_schema: { name: "x", strict: isStrict, schema } };
}

test.each<[DialectName, object, string]>([
  [
    "anthropic",
    { type: "object", properties: { a: { type: "string", pattern: "^x" } } },
    "schema.properties.a.pattern",
  ],
  ["anthropic", { anyOf: [{ type: "integer" }, { type: "array", minItems: 2 }] }, "schema.anyOf[1].minItems"],
  ["google", { $defs: { a: { type: "string", maxLength: 3 } }, $ref: "#/$defs/a" }, "schema.$defs.a.maxLength"],
])(
  "%s: a strict schema with a keyword that is not enforced is refused, with its path",
  async (dialect, schema, path) => {
    const { param, message } = await refusal(dialect, { response_format: format(schema) });
    expect([param, message]).toEqual(["response_format", expect.stringContaining(`"${path}"`)]);
  },
);

test("a property that has the name of a keyword is none", async () => {
  const schema = {
    type: "object",
    properties: { pattern: { type: "string" } },
    required: ["pattern"],
    additionalProperties: false,
  };
  const { request } = await ask("anthropic", answers(500, "{}"), { response_format: format(schema) });
  expect(request).not.toBeNull();
});

test("a strict schema of a model that can only try is refused", async () => {
  const schema = {
    type: "object",
    properties: { a: { type: "string" } },
    required: ["a"],
    additionalProperties: false,
  };
  const options = { model: "claude-3-haiku-20240307" };
  expect(await refusal("anthropic", { response_format: format(schema) }, options)).toMatchObject({
    param: "response_format",
  });
});

const image = (url: string, more: object = {}): Fields => ({
  messages: [{ role: "user", content: [{ type: "image_url", image_url: { url, ...more } }] }],
});
const url = "messages[0].content[0].image_url.url";

test.each<[string, DialectName, Fields, string]>([
  ["an image at an address that is not encrypted", "anthropic", image("http://example.com/a.png"), url],
  ["an image in a file", "google", image("file:///etc/passwd"), url],
  ["an image that is not in base64", "anthropic", image("data:image/svg+xml,<svg/>"), url],
  ["an image whose type nobody knows", "google", image("https://example.com/a"), url],
  [
    "a coarse view of an image",
    "anthropic",
    image("data:image/png;base64,AA==", { detail: "low" }),
    "messages[0].content[0].image_url.detail",
  ],
  [
    "sound for a model that does not hear",
    "anthropic",
    { messages: [{ role: "user", content: [{ type: "input_audio", input_audio: { data: "AA==", format: "wav" } }] }] },
    "messages[0].content[0].input_audio.data",
  ],
  ["a name", "google", { messages: [{ role: "user", name: "ann", content: "x" }] }, "messages[0].name"],
  ["the older form of a tool result", "google", { messages: [{ role: "function", content: "x" }] }, "messages[0].role"],
  [
    "a late system message",
    "google",
    {
      messages: [
        { role: "user", content: "x" },
        { role: "system", content: "y" },
      ],
    },
    "messages[1].role",
  ],
  [
    "a result without its call",
    "anthropic",
    { messages: [{ role: "tool", tool_call_id: "t", content: "x" }] },
    "messages[0].tool_call_id",
  ],
  [
    "arguments that are not an object",
    "anthropic",
    {
      messages: [
        { role: "assistant", tool_calls: [{ id: "t", type: "function", function: { name: "f", arguments: "[1]" } }] },
      ],
    },
    "messages[0].tool_calls[0].function.arguments",
  ],
])("%s is refused (%s)", async (_, dialect, fields, param) => {
  expect(await refusal(dialect, fields)).toMatchObject({ code: "invalid_request", param });
});

const user = (content: unknown): Fields => ({ messages: [{ role: "user", content }] });

test.each<[string, Fields]>([
  ["messages", { messages: null }],
  ["messages", { messages: "Hello" }],
  ["messages", { messages: [] }],
  ["messages[0]", { messages: ["Hello"] }],
  ["messages[0].content", user(null)],
  ["messages[0].content", user(["Hello"])],
  ["messages[0].content[0].text", user([{ type: "text", text: 5 }])],
  ["messages[0].content[0].type", user([{ text: "Hello" }])],
  ["messages[0].content[0].type", user([{ type: "constructor" }])],
  ["messages[0].content[0].image_url.url", user([{ type: "image_url", image_url: "data:image/png;base64,AA==" }])],
  ["messages[0].content[0].file.file_data", user([{ type: "file", file: { file_id: "f-1" } }])],
  ["messages[0].tool_calls", { messages: [{ role: "assistant", tool_calls: {} }] }],
  ["messages[0].tool_calls[0]", { messages: [{ role: "assistant", tool_calls: [null] }] }],
  ["max_tokens", { max_tokens: "5" }],
  ["temperature", { temperature: "hot" }],
  ["stop", { stop: [1] }],
  ["user", { user: 5 }],
  ["parallel_tool_calls", { tools: [WEATHER], parallel_tool_calls: "yes" }],
  ["tools", { tools: {} }],
  ["tools[0]", { tools: [5] }],
  ["tools[0].type", { tools: [{ type: "web_search" }] }],
  ["tools[0].function", { tools: [{ type: "function" }] }],
  ["tools[0].function.name", { tools: [{ type: "function", function: {} }] }],
  ["tools[0].function.parameters", { tools: [{ type: "function", function: { name: "f", parameters: "none" } }] }],
  ["tool_choice", { tool_choice: "required" }],
  ["tool_choice", { tools: [WEATHER], tool_choice: "sometimes" }],
  ["tool_choice", { tools: [WEATHER], tool_choice: { type: "function", function: { name: "other" } } }],
  ["response_format", { response_format: "json" }],
  ["response_format.type", { response_format: { type: "xml" } }],
  ["response_format.json_schema", { response_format: { type: "json_schema" } }],
  ["response_format.json_schema.schema", { response_format: { type: "json_schema", json_schema: { name: "x" } } }],
  ["json_schema", { json_schema: { type: "object" }, response_format: { type: "json_object" } }],
])("a request of the wrong form is refused, naming %s: %j", async (param, fields) => {
  for (const dialect of ["anthropic", "google"] as const)
    expect(await refusal(dialect, fields)).toMatchObject({ code: "invalid_request", status: 400, param });
});
