import { expect, test } from "vitest";
import { AssistantError } from "../../../../src/core/errors.ts";
import { anthropicDoor } from "../../../../src/gateway/doors/anthropic/door.ts";
import { errorBody } from "../../../../src/gateway/doors/anthropic/errors.ts";
import { translate } from "../../../../src/gateway/doors/anthropic/request.ts";

const hi = [{ role: "user", content: "Hi" }];
const image = { type: "image", source: { type: "base64", media_type: "image/png", data: "AAAA" } };
const json = (fields: object): Record<string, unknown> => translate({ max_tokens: 9, messages: hi, ...fields }).json;
const messages = (...content: readonly object[]): unknown => json({ messages: content })["messages"];

function failureOf(act: () => unknown): AssistantError {
  try {
    act();
  } catch (error) {
    if (error instanceof AssistantError) return error;
    throw error;
  }
  throw new Error("nothing was thrown");
}

const routes = anthropicDoor({} as Parameters<typeof anthropicDoor>[0]).inference;
const decoded = async (fields: object) => {
  const route = routes.find(({ path }) => path === "/v1/messages");
  if (route === undefined) throw new Error("no route");
  const bytes = Buffer.from(JSON.stringify({ model: "river", max_tokens: 9, messages: hi, ...fields }));
  return route.decode(bytes, {}, {} as never, { tenant: "local", models: null });
};

test.each([
  [{ stop_sequences: ["a"] }, { stop: ["a"] }],
  [
    { temperature: 0.5, top_p: 0.9, top_k: 5 },
    { temperature: 0.5, top_p: 0.9, top_k: 5 },
  ],
  [{ metadata: { user_id: "u" } }, { user: "u" }],
  [{ stream: true }, { stream: true, stream_options: { include_usage: true } }],
  [{ thinking: { type: "enabled", budget_tokens: 2048 } }, { thinking_budget_tokens: 2048 }],
  [{ thinking: { type: "disabled" } }, { reasoning_effort: "none" }],
  [{ thinking: { type: "adaptive" }, output_config: { effort: "low" } }, { reasoning_effort: "low" }],
  [
    { tool_choice: { type: "any", disable_parallel_tool_use: true } },
    { tool_choice: "required", parallel_tool_calls: false },
  ],
  [{ tool_choice: { type: "tool", name: "f" } }, { tool_choice: { type: "function", function: { name: "f" } } }],
  [{ min_p: 0.1 }, { min_p: 0.1 }],
])("%j becomes %j", (fields, expected) => {
  expect(json(fields)).toMatchObject(expected);
});

test.each(["output_config", "output_format"])("a JSON Schema in %s binds the answer", (name) => {
  const format = { type: "json_schema", schema: { type: "object" } };
  expect(json(name === "output_config" ? { output_config: { format } } : { output_format: format })).toMatchObject({
    response_format: { type: "json_schema", json_schema: { schema: { type: "object" } } },
  });
});

test("an id of a user that is too long for OpenAI's API is one of the right length, the same each time", () => {
  const userOf = (id: string) => json({ metadata: { user_id: id } })["user"];
  expect(userOf("x".repeat(65))).toMatch(/^[0-9a-f]{64}$/);
  expect(userOf("x".repeat(65))).toBe(userOf("x".repeat(65)));
});

test("what concerns Anthropic's own servers alone reaches no engine", () => {
  const context_management = { edits: [{ type: "clear_thinking_20251015" }] };
  expect(Object.keys(json({ context_management, service_tier: "auto", cache_control: { type: "ephemeral" } }))).toEqual(
    Object.keys(json({})),
  );
});

test("a tool becomes a function, whatever its schema", () => {
  const input_schema = { type: "object", properties: { x: { pattern: "(?=a)" } } };
  const tool = { name: "f", description: "d", input_schema, cache_control: { type: "ephemeral" } };
  expect(json({ tools: [tool] })["tools"]).toEqual([
    { type: "function", function: { name: "f", description: "d", parameters: input_schema } },
  ]);
});

test("system blocks are joined, without the header that differs in each request", () => {
  const header = "x-anthropic-billing-header: cc_version=2.1.101.e51; cc_entrypoint=cli; cch=a5145;";
  const system = [header, "You are brief.", "Be kind."].map((text) => ({ type: "text", text }));
  const expected = { role: "system", content: "You are brief.\n\nBe kind." };
  expect(translate({ max_tokens: 9, messages: hi, system }).json["messages"]).toEqual([expected, ...hi]);
  const text = `${header}You are brief.`;
  expect(json({ system: text })["messages"]).toEqual([{ role: "system", content: "You are brief." }, ...hi]);
});

test("results of tools are messages in their place, with images and errors", () => {
  const content = [
    { type: "tool_result", tool_use_id: "a", content: "4 degrees" },
    { type: "tool_result", tool_use_id: "b", is_error: true, content: [{ type: "text", text: "no network" }] },
    { type: "tool_result", tool_use_id: "c", content: [{ type: "text", text: "see" }, image] },
    { type: "text", text: "So?" },
  ];
  expect(messages({ role: "user", content })).toEqual([
    { role: "tool", tool_call_id: "a", content: "4 degrees" },
    { role: "tool", tool_call_id: "b", content: "Error:\nno network" },
    {
      role: "tool",
      tool_call_id: "c",
      content: [
        { type: "text", text: "see" },
        { type: "image_url", image_url: { url: "data:image/png;base64,AAAA" } },
      ],
    },
    { role: "user", content: "So?" },
  ]);
});

test("thinking goes back with its text, and where it is signed with the call that it led to", () => {
  const content = [
    { type: "thinking", thinking: "Hm.", signature: "sig" },
    { type: "tool_use", id: "a", name: "f", input: { x: 1 } },
  ];
  expect(messages({ role: "assistant", content })).toEqual([
    {
      role: "assistant",
      reasoning_content: "Hm.",
      tool_calls: [
        {
          ...{ id: "a", type: "function", function: { name: "f", arguments: '{"x":1}' } },
          extra_content: { anthropic: { thinking: [{ thinking: "Hm.", signature: "sig" }] } },
        },
      ],
    },
  ]);
});

test("documents and search results are shown as text", () => {
  const content = [
    { type: "document", title: "Rivers", source: { type: "text", media_type: "text/plain", data: "The Elbe." } },
    { type: "search_result", title: "T", source: "https://example.org", content: [{ type: "text", text: "Found." }] },
  ];
  const texts = ["Rivers", "The Elbe.", "T\nhttps://example.org", "Found."].map((text) => ({ type: "text", text }));
  expect(messages({ role: "user", content })).toEqual([{ role: "user", content: texts }]);
});

test.each([
  [{ messages: "Hi" }, "messages"],
  [{ messages: [{ role: "robot", content: "Hi" }] }, "messages[0].role"],
  [{ messages: [{ role: "user", content: [{ type: "text" }] }] }, "messages[0].content[0].text"],
  [{ messages: [{ role: "user", content: [{ type: "web_search_tool_result" }] }] }, "messages[0].content[0].type"],
  [
    { messages: [{ role: "user", content: [{ type: "image", source: { type: "file" } }] }] },
    "messages[0].content[0].source.type",
  ],
  [
    { messages: [{ role: "assistant", content: [{ type: "tool_use", id: "a", name: "f" }] }] },
    "messages[0].content[0].input",
  ],
  [{ system: 5 }, "system"],
  [{ tools: [{ type: "web_search_20250305", name: "web_search" }] }, "tools[0].type"],
  [{ tools: [{ name: "f" }] }, "tools[0].input_schema"],
  [{ tool_choice: { type: "required" } }, "tool_choice.type"],
  [{ stop_sequences: [""] }, "stop_sequences"],
  [{ thinking: { type: "enabled" } }, "thinking.budget_tokens"],
  [{ output_config: { format: { type: "text" } } }, "output_config.format.type"],
  [{ mcp_servers: [{ name: "x" }] }, "mcp_servers"],
])("%j is refused by the name of its field", (fields, param) => {
  expect(failureOf(() => json(fields))).toMatchObject({ code: "invalid_request", param });
});

test("an answer needs a limit", async () => {
  await expect((async () => decoded({ max_tokens: undefined }))()).rejects.toMatchObject({ param: "max_tokens" });
});

test("an address of an image is refused for engines here in the client's own names", async () => {
  const block = { type: "image", source: { type: "url", url: "https://example.org/a.png" } };
  const body = await decoded({
    system: "Be brief.",
    messages: [{ role: "user", content: [{ type: "text", text: "?" }, block] }],
  });
  const { translate: sinkOf } = body;
  const failed: AssistantError[] = [];
  const sink = sinkOf?.({ fail: (error: AssistantError) => void failed.push(error) } as never);
  sink?.fail(
    failureOf(() => body.checked?.()),
    [],
    true,
  );
  expect(failed[0]).toMatchObject({ param: "messages[0].content[1].image_url.url" });
  expect(failed[0]?.message).toContain("messages[0].content[1]");
});

test("what the system says later is a part of the user's message for engines here", async () => {
  const reference = { type: "tool_reference", name: "f" };
  const late = [
    { role: "user", content: "Hi" },
    { role: "system", content: [{ type: "text", text: "Be kind." }] },
    { role: "assistant", content: "Hello." },
    { role: "system", content: [{ type: "tool_addition", tool: reference }] },
  ];
  const { body, checked } = await decoded({ system: "Be brief.", messages: late });
  const roles = (json: unknown) => (json as { messages: { role: string }[] }).messages.map(({ role }) => role);
  expect(roles(body.json)).toEqual(["system", "user", "system", "assistant", "system"]);
  expect(checked?.().body.json["messages"]).toEqual([
    { role: "system", content: "Be brief." },
    {
      role: "user",
      content: ["Hi", "<system>\nBe kind.\n</system>"].map((text) => ({ type: "text", text })),
    },
    { role: "assistant", content: "Hello." },
    {
      role: "user",
      content: [{ type: "text", text: '<system>\nThe tool "f" can be called from now on.\n</system>' }],
    },
  ]);
});

test("a PDF is for models of providers", async () => {
  const source = { type: "base64", media_type: "application/pdf", data: "AAAA" };
  const { body, checked } = await decoded({ messages: [{ role: "user", content: [{ type: "document", source }] }] });
  expect(JSON.stringify(body.json)).toContain("data:application/pdf;base64,AAAA");
  expect(failureOf(() => checked?.())).toMatchObject({ param: "messages[0].content[0]" });
});

test("engines here are asked to say what Anthropic's API reports", async () => {
  const { checked } = await decoded({ stream: true, stop_sequences: ["END"] });
  expect(checked?.().body.json).toMatchObject({ return_progress: true, verbose: true });
});

test.each([
  ["invalid_request", 400, "invalid_request_error"],
  ["invalid_api_key", 401, "authentication_error"],
  ["insufficient_scope", 403, "permission_error"],
  ["model_not_found", 404, "not_found_error"],
  ["body_too_large", 413, "request_too_large"],
  ["queue_full", 429, "rate_limit_error"],
  ["internal", 500, "api_error"],
  ["engine_lost", 502, "api_error"],
  ["no_capacity", 503, "overloaded_error"],
] as const)("%s (%i) is of the type %s", (code, status, type) => {
  const error = new AssistantError(code, "Why.", { remedy: "What to do." });
  expect(error.status).toBe(status);
  expect(errorBody(error, "id")).toEqual({
    ...{ type: "error", error: { type, message: "Why. What to do.", code, param: null }, request_id: "id" },
  });
});

test.each(["2023-06-01", undefined])("the version %s is accepted", (version) => {
  routes[0]?.checkHeaders({ "content-type": "application/json", "anthropic-version": version });
});

test("a version that is no date is refused", () => {
  const check = () => routes[0]?.checkHeaders({ "content-type": "application/json", "anthropic-version": "latest" });
  expect(failureOf(check)).toMatchObject({ param: "anthropic-version" });
});
