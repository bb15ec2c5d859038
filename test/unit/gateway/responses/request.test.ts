import { describe, expect, it } from "vitest";
import type { AssistantError } from "../../../../src/core/errors.ts";
import type { JsonObject } from "../../../../src/core/inference.ts";
import { checkFields } from "../../../../src/gateway/canonical/fields.ts";
import {
  inClientsNames,
  type ResponseRequest,
  readRequest,
} from "../../../../src/gateway/doors/openai/responses/request.ts";

const NO_HISTORY = { itemsThrough: async () => [], item: async () => null };
const read = (fields: JsonObject): Promise<ResponseRequest> => readRequest({ model: "river", ...fields }, NO_HISTORY);
const messagesOf = async (input: unknown, instructions?: string): Promise<unknown> =>
  (await read({ input, ...(instructions === undefined ? {} : { instructions }) })).chat["messages"];
const failure = (fields: JsonObject): Promise<AssistantError> =>
  read(fields).then(
    () => {
      throw new Error("it was taken");
    },
    (error: AssistantError) => error,
  );
const user = { role: "user", content: "Hello" };
const look = { type: "function_call", call_id: "call_a", name: "look", arguments: "{}" };

describe("a request of the Responses API as a chat", () => {
  it("is one message of a user, after instructions", async () => {
    expect(await messagesOf("Hello", "Be brief.")).toEqual([{ role: "system", content: "Be brief." }, user]);
  });

  it("puts what instructs at the beginning into one message", async () => {
    const input = [{ role: "developer", content: "Speak German." }, user];
    expect(await messagesOf(input, "Be brief.")).toEqual([
      { role: "system", content: "Be brief.\n\nSpeak German." },
      user,
    ]);
  });

  it("makes one message of what an assistant thought, said and called", async () => {
    const input = [
      user,
      { type: "reasoning", id: "rs_1", summary: [], content: [{ type: "reasoning_text", text: "Hm." }] },
      { type: "message", role: "assistant", content: [{ type: "output_text", text: "Look.", annotations: [] }] },
      look,
      { ...look, call_id: "call_b" },
      { type: "function_call_output", call_id: "call_a", output: "Bonn" },
      { type: "function_call_output", call_id: "call_b", output: [{ type: "input_text", text: "Köln" }] },
    ];
    const called = (id: string): object => ({ id, type: "function", function: { name: "look", arguments: "{}" } });
    expect(await messagesOf(input)).toEqual([
      user,
      {
        role: "assistant",
        reasoning_content: "Hm.",
        content: "Look.",
        tool_calls: [called("call_a"), called("call_b")],
      },
      { role: "tool", tool_call_id: "call_a", content: "Bonn" },
      { role: "tool", tool_call_id: "call_b", content: "Köln" },
    ]);
  });

  it("keeps images as parts", async () => {
    const url = "data:image/png;base64,AAAA";
    const content = [
      { type: "input_text", text: "What is this?" },
      { type: "input_image", image_url: url, detail: "low" },
    ];
    expect(await messagesOf([{ role: "user", content }])).toEqual([
      {
        role: "user",
        content: [
          { type: "text", text: "What is this?" },
          { type: "image_url", image_url: { url, detail: "low" } },
        ],
      },
    ]);
  });

  it("translates every field, and leaves those of engines as they are", async () => {
    const parameters = { type: "object", properties: {} };
    const schema = { type: "object", properties: {}, additionalProperties: false };
    const { chat } = await read({
      input: "Hello",
      max_output_tokens: 9,
      reasoning: { effort: "low" },
      text: { format: { type: "json_schema", name: "river", schema, strict: true } },
      tools: [{ type: "function", name: "look", parameters, strict: null }],
      tool_choice: { type: "function", name: "look" },
      include: ["message.output_text.logprobs"],
      top_logprobs: 2,
      stream: true,
      min_p: 0.1,
      metadata: { a: "b" },
    });
    expect(chat).toEqual({
      model: "river",
      messages: [user],
      stream: true,
      stream_options: { include_usage: true },
      max_completion_tokens: 9,
      reasoning_effort: "low",
      response_format: { type: "json_schema", json_schema: { name: "river", schema, strict: true } },
      tools: [{ type: "function", function: { name: "look", parameters } }],
      tool_choice: { type: "function", function: { name: "look" } },
      logprobs: true,
      top_logprobs: 2,
      min_p: 0.1,
    });
  });

  it("leaves the tools that are allowed", async () => {
    const tool = (name: string): object => ({ type: "function", name });
    const { chat } = await read({
      input: "Hello",
      tools: [tool("look"), tool("go")],
      tool_choice: { type: "allowed_tools", mode: "required", tools: [tool("go")] },
    });
    expect(chat).toMatchObject({ tools: [{ function: { name: "go" } }], tool_choice: "required" });
  });

  it("makes a function of one text of a custom tool, and calls of it from its items", async () => {
    const tools = [{ type: "custom", name: "patch", description: "Patch a file.", format: { type: "text" } }];
    const input = [
      user,
      { type: "custom_tool_call", call_id: "call_a", name: "patch", input: "*** Begin" },
      { type: "custom_tool_call_output", call_id: "call_a", output: "Done." },
    ];
    const { chat, customTools, repeated } = await read({
      input,
      tools,
      tool_choice: { type: "custom", name: "patch" },
    });
    expect(customTools).toEqual(["patch"]);
    expect(repeated["tools"]).toEqual(tools);
    expect(chat).toMatchObject({
      tools: [{ type: "function", function: { name: "patch", parameters: { required: ["input"] } } }],
      tool_choice: { type: "function", function: { name: "patch" } },
      messages: [
        user,
        {
          role: "assistant",
          tool_calls: [{ id: "call_a", function: { name: "patch", arguments: '{"input":"*** Begin"}' } }],
        },
        { role: "tool", tool_call_id: "call_a", content: "Done." },
      ],
    });
  });

  it("takes a coding agent's tools, and says which of them are available", async () => {
    const shell = { type: "function", name: "shell", parameters: { type: "object", properties: {} } };
    const files = { type: "namespace", name: "mcp__fs", description: "Files.", tools: [{ ...shell, name: "read" }] };
    const { chat, repeated, namespaced } = await read({
      input: [
        user,
        { type: "function_call", call_id: "a", namespace: "mcp__fs", name: "read", arguments: "{}" },
        { type: "function_call_output", call_id: "a", output: "Nothing." },
      ],
      tools: [shell, files, { type: "web_search", external_web_access: false }, { type: "image_generation" }],
    });
    expect(chat).toMatchObject({
      tools: [{ function: { name: "shell" } }, { function: { name: "mcp__fs__read" } }],
      messages: [user, { tool_calls: [{ function: { name: "mcp__fs__read" } }] }, { role: "tool" }],
    });
    expect((repeated["tools"] as readonly JsonObject[]).map(({ name }) => name)).toEqual(["shell", "mcp__fs"]);
    expect(namespaced.get("mcp__fs__read")).toEqual({ namespace: "mcp__fs", name: "read" });
  });

  it.each<[param: string, fields: JsonObject]>([
    ["tools[0].type", { tools: [{ type: "code_interpreter" }] }],
    ["tools[0].tools", { tools: [{ type: "namespace", name: "mcp__fs" }] }],
    ["tools[0].tools[0]", { tools: [{ type: "namespace", name: "mcp__fs", tools: [{ type: "custom", name: "p" }] }] }],
    ["tool_choice", { tool_choice: { type: "web_search" } }],
    ["input[0].type", { input: [{ type: "computer_call" }] }],
    ["input[0].content[0].type", { input: [{ role: "system", content: [{ type: "input_image", image_url: "x" }] }] }],
    ["input[0].call_id", { input: [{ type: "function_call_output", call_id: "call_z", output: "" }] }],
    ["input[0].id", { input: [{ type: "item_reference", id: "msg_1" }] }],
    ["input", { input: 3 }],
    ["input", { input: [] }],
    ["conversation", { conversation: 5 }],
    ["truncation", { truncation: "middle" }],
    ["tools[0].name", { tools: [{ type: "custom" }] }],
    [
      "tools[0].format",
      { tools: [{ type: "custom", name: "p", format: { type: "grammar", syntax: "lark", definition: "x" } }] },
    ],
    ["text.format.type", { text: { format: { type: "grammar" } } }],
    ["reasoning.depth", { reasoning: { depth: 3 } }],
    ["background", { background: true, store: false }],
    ["max_tokens", { max_tokens: 4 }],
    ["metadata", { metadata: { a: 1 } }],
    ["include", { include: ["everything"] }],
    ["service_tier", { service_tier: "gold" }],
  ])("is refused with %s named", async (param, fields) => {
    const error = await failure({ input: "Hello", ...fields });
    expect([error.code, error.param]).toEqual(["invalid_request", param]);
  });

  it.each<[param: string, fields: JsonObject]>([
    [
      "text.format.schema.properties.a.multipleOf",
      {
        text: {
          format: {
            type: "json_schema",
            name: "a",
            schema: { type: "object", properties: { a: { type: "number", multipleOf: 3 } } },
          },
        },
      },
    ],
    ["tools[0].name", { tools: [{ type: "function", name: "" }] }],
    [
      "input[1].content[0].image_url",
      {
        input: [user, { role: "user", content: [{ type: "input_image", image_url: "http://a/b.png" }] }],
      },
    ],
  ])("names %s where an engine could not take it", async (param, fields) => {
    const { chat, places } = await read({ input: "Hello", ...fields });
    let thrown: unknown;
    try {
      checkFields("chat", chat);
    } catch (error) {
      thrown = error;
    }
    const error = inClientsNames(thrown as AssistantError, places);
    expect(error.param).toBe(param);
    expect(error.message).toContain(param.split(".multipleOf")[0]);
  });
});
