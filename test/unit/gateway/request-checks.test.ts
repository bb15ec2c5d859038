import { describe, expect, test } from "vitest";
import { decodeBody, parseBody } from "../../../src/gateway/canonical/decode.ts";

const user = { role: "user", content: "Hi" };
type Operation = Parameters<typeof decodeBody>[0];

const minimal: Readonly<Record<Operation, object>> = {
  chat: { messages: [user] },
  completion: { prompt: "Hi" },
  embedding: { input: "Hi" },
  speech: { input: "Hi" },
  transcription: {},
  translation: {},
};

function refusal(
  operation: Operation,
  fields: object | string,
): { code: string; param: string | null; message: string } | null {
  try {
    decodeBody(
      operation,
      Buffer.from(typeof fields === "string" ? fields : JSON.stringify({ ...minimal[operation], ...fields })),
    ).checked?.();
    return null;
  } catch (error) {
    return error as { code: string; param: string | null; message: string };
  }
}

const withParameters = (parameters: object) => ({ type: "function", function: { name: "f", parameters } });

/** What an engine gets of a body. */
const sent = (operation: Operation, fields: object): unknown =>
  JSON.parse(
    decodeBody(operation, Buffer.from(JSON.stringify({ ...minimal[operation], ...fields })))
      .checked?.()
      .body.bytes.toString() ?? "",
  );

const call = { id: "1", type: "function", function: { name: "f", arguments: "{}" } };
const tool = { type: "function", function: { name: "f", parameters: { type: "object" } } };
const image = (url: unknown): object => ({ role: "user", content: [{ type: "image_url", image_url: { url } }] });

describe("refused, naming the field", () => {
  test.each<[Operation, string, object]>([
    ["chat", "messages[0].role", { messages: [{ role: "king", content: "Hi" }] }],
    ["chat", "response_format", { tools: [tool], response_format: { type: "json_object" } }],
    ["chat", "response_format", { tools: [tool], tool_choice: "auto", response_format: { type: "json_object" } }],
    ["chat", "json_schema", { tools: [tool], json_schema: { type: "object" } }],
    ["chat", "messages[1].content", { messages: [user, { role: "user", content: null }] }],
    ["chat", "messages[0].content[0].text", { messages: [{ role: "user", content: [{ type: "text", text: null }] }] }],
    ["chat", "messages[0].content[1]", { messages: [{ role: "user", content: [{ type: "text", text: "a" }, "b"] }] }],
    ["chat", "messages[0].content[0].type", { messages: [{ role: "user", content: [{ type: "poem" }] }] }],
    ["chat", "messages[0].content[0].image_url.url", { messages: [image(3)] }],
    ["chat", "messages[0].content[0].image_url.url", { messages: [image("http://169.254.169.254/")] }],
    ["chat", "messages[0].content[0].image_url.url", { messages: [image("file:///etc/passwd")] }],
    ["chat", "messages[0].name", { messages: [{ ...user, name: 3 }] }],
    ["chat", "messages[1].tool_calls", { messages: [user, { role: "assistant", tool_calls: {} }] }],
    [
      "chat",
      "messages[1].tool_calls[0].type",
      { messages: [user, { role: "assistant", tool_calls: [{ ...call, type: null }] }] },
    ],
    [
      "chat",
      "messages[1].tool_calls[0].function.arguments",
      { messages: [user, { role: "assistant", tool_calls: [{ ...call, function: { name: "f" } }] }] },
    ],
    ["chat", "max_tokens", { max_tokens: 0 }],
    ["completion", "max_completion_tokens", { max_completion_tokens: 0 }],
    ["chat", "tools[0].type", { tools: [{}] }],
    ["chat", "tools[0]", { tools: [3] }],
    ["chat", "tools[1].function.name", { tools: [tool, { type: "function", function: { name: 3 } }] }],
    [
      "chat",
      "tools[0].function.parameters",
      { tools: [{ type: "function", function: { name: "f", parameters: [] } }] },
    ],
    [
      "chat",
      "tools[0].function.parameters.uniqueItems",
      {
        tools: [
          { type: "function", function: { name: "f", strict: true, parameters: { type: "array", uniqueItems: true } } },
        ],
      },
    ],
    ["chat", "tool_choice", { tools: [tool], tool_choice: "always" }],
    ["chat", "tool_choice", { tools: [tool], tool_choice: { type: "function", function: { name: "g" } } }],
    ["chat", "tool_choice", { tool_choice: "required" }],
    ["chat", "response_format.type", { response_format: { type: "poem" } }],
    ["chat", "response_format.type", { response_format: {} }],
    ["chat", "response_format.json_schema", { response_format: { type: "json_schema" } }],
    [
      "chat",
      "response_format.json_schema.schema",
      { response_format: { type: "json_schema", json_schema: { schema: 3 } } },
    ],
    ["chat", "response_format", { response_format: { type: "json_object" }, grammar: 'root ::= "a"' }],
    ["chat", "modalities", { modalities: ["text", "audio"] }],
    ["chat", "audio", { audio: { voice: "alloy", format: "wav" } }],
    ["chat", "functions", { functions: [] }],
    ["chat", "reasoning_format", { reasoning_format: "x" }],
    ["chat", "stop", { stop: "" }],
    ["chat", "stop", { stop: ["a", ""] }],
    ["chat", "seed", { seed: 1e30 }],
    ["chat", "seed", { seed: 0.5 }],
    ["chat", "samplers", { samplers: ["infill"] }],
    ["chat", "samplers", { samplers: "ki" }],
    ["chat", "samplers", { samplers: ["top_k", "nonsense"] }],
    ["chat", "repeat_last_n", { repeat_last_n: 2 ** 31 - 1 }],
    ["chat", "dry_penalty_last_n", { dry_penalty_last_n: 2 ** 31 - 1 }],
    ["chat", "dry_sequence_breakers", { dry_sequence_breakers: Array(100_000).fill("\n") }],
    ["chat", "n_probs", { n_probs: 2 ** 31 - 1 }],
    ["chat", "n_probs", { n_probs: -1 }],
    ["chat", "repeat_penalty", { repeat_penalty: 0 }],
    ["chat", "logit_bias", { logit_bias: { 5: "high" } }],
    ["chat", "logit_bias", { logit_bias: [[5]] }],
    ["chat", "sse_ping_interval", { sse_ping_interval: 0 }],
    ["chat", "grammar", { grammar: `root ::= ${"(".repeat(100_000)}` }],
    ["chat", "grammar", { grammar: `root ::= ${Array(3_000).fill('"a"').join("|")}` }],
    ["chat", "grammar", { grammar: 'root ::= "a"{3,2}' }],
    ["chat", "grammar", { grammar: 'root ::= ("a"?){0,100}' }],
    ["chat", "grammar", { grammar: 'root ::= ("a"*){100}' }],
    ["chat", "grammar", { grammar: 'root ::= "x" (("a"?){0,12}){0,12}' }],
    ["chat", "grammar", { grammar: 'root ::= a a a a a a a a a "."\na ::= b b b b b b b b\nb ::= "b" |' }],
    ["chat", "grammar", { grammar: 'root ::= x\nx ::= "q" y |\ny ::= x{0,60} x{0,60}' }],
    ["chat", "grammar", { grammar: `root ::= ${Array(65).fill('"a"?').join(" ")}` }],
    ["chat", "grammar", { grammar: [...Array(1_500).keys()].map((i) => `r${i} ::= "a" r${i + 1} |`).join("\n") }],
    ["chat", "grammar", { grammar: [...Array(5_000).keys()].map((i) => `r${i} ::= r${i + 1}`).join("\n") }],
    ["chat", "grammar", { grammar: 'root ::= ("a"{3 # }\n , 2})' }],
    [
      "chat",
      "tools[0].function.parameters",
      { tools: [withParameters({ type: "integer", exclusiveMinimum: 5, maximum: 5 })] },
    ],
    ["chat", "grammar_triggers", { grammar_triggers: [{ type: 99, value: "x" }] }],
    ["chat", "chat_format", { chat_format: 999 }],
    ["completion", "grammar_triggers", { grammar_triggers: [{ type: 99, value: "x" }] }],
    ["completion", "echo", { echo: true }],
    ["completion", "suffix", { suffix: 7 }],
    ["completion", "prompt", { suffix: "end", prompt: ["a", "b"] }],
    ["completion", "n", { suffix: "end", n: 2 }],
    ["completion", "logprobs", { suffix: "end", logprobs: 1 }],
    ["completion", "best_of", { best_of: 2 }],
    ["completion", "response_format", { response_format: { type: "json_object" } }],
    ["completion", "tools", { tools: [tool] }],
    ["completion", "logprobs", { logprobs: true }],
    ["completion", "prompt", { prompt: [-1] }],
    ["completion", "prompt", { prompt: [2 ** 32 - 1] }],
    ["embedding", "input", { input: [[1, -1]] }],
    ["embedding", "input", { input: Array(2049).fill("a") }],
    ["embedding", "dimensions", { dimensions: 0 }],
  ])("%s: %s", (operation, param, fields) => {
    expect(refusal(operation, fields)).toMatchObject({ code: "invalid_request", param });
  });
});

test("a number that no computer holds is called so", () => {
  const message = refusal("chat", '{"messages":[{"role":"user","content":"Hi"}],"temperature":1e400}')?.message;
  expect(message).toContain("too large");
  expect(message).not.toContain("null");
});

test.each([2 ** 53 + 2, 2 ** 63, -1, 4294967295])("the seed %i passes", (seed) => {
  expect(refusal("chat", { seed })).toBeNull();
});

describe("engines get", () => {
  test("messages without the nulls that they do not understand", () => {
    const messages = [
      { ...user, name: null },
      { role: "assistant", content: null, refusal: null, tool_calls: null },
      { ...user, tool_call_id: null, reasoning_content: null },
    ];
    expect(sent("chat", { messages })).toMatchObject({
      messages: [user, { role: "assistant", content: null, refusal: null }, user],
    });
    expect(JSON.stringify(sent("chat", { messages }))).not.toMatch(/name|tool_call|reasoning/);
  });

  test("an assistant's message without content, which llama-server requires", () => {
    const { messages } = sent("chat", { messages: [{ role: "assistant", reasoning_content: "Hm." }, user] }) as {
      messages: object[];
    };
    expect(messages).toEqual([{ role: "assistant", content: null, reasoning_content: "Hm." }, user]);
  });

  test("tools without nulls", () => {
    const given = { type: "function", function: { name: "f", description: null, parameters: null, strict: null } };
    expect(sent("chat", { tools: [given] })).toMatchObject({ tools: [{ type: "function", function: { name: "f" } }] });
    expect(JSON.stringify(sent("chat", { tools: [given] }))).not.toContain("null");
  });

  test("schemas of tools without `true`, which stands for anything", () => {
    const parameters = {
      type: "object",
      properties: { any: true, list: { type: "array", items: true }, one: { anyOf: [true, { type: "null" }] } },
      additionalProperties: true,
    };
    expect(sent("chat", { tools: [{ type: "function", function: { name: "f", parameters } }] })).toMatchObject({
      tools: [
        {
          function: {
            parameters: {
              properties: { any: {}, list: { type: "array", items: {} }, one: { anyOf: [{}, { type: "null" }] } },
              additionalProperties: true,
            },
          },
        },
      ],
    });
  });

  test("schemas of tools without `items: false`, with which Zod closes a tuple", () => {
    const tuple = { type: "array", prefixItems: [{ type: "string" }], minItems: 1, maxItems: 1 };
    const parameters = { type: "object", properties: { pair: { ...tuple, items: false } } };
    const body = sent("chat", { tools: [{ type: "function", function: { name: "f", parameters } }] });
    expect(body).toMatchObject({ tools: [{ function: { parameters: { properties: { pair: tuple } } } }] });
    expect(JSON.stringify(body)).not.toContain('"items":false');
  });

  test("an empty object where a function was called with nothing", () => {
    const called = { ...call, function: { name: "f", arguments: "" } };
    expect(sent("chat", { messages: [user, { role: "assistant", tool_calls: [call, called] }] })).toMatchObject({
      messages: [user, { tool_calls: [call, { ...called, function: { name: "f", arguments: "{}" } }] }],
    });
  });

  test("no byte order mark", () => {
    const body = { messages: [user], model: "river" };
    const { json, bytes } = parseBody(Buffer.from(`\ufeff${JSON.stringify(body)}`));
    expect(json).toEqual(body);
    expect(bytes.toString()).toBe(JSON.stringify(body));
  });

  test("nothing of fields that ask for nothing", () => {
    expect(sent("embedding", { encoding_format: null })).toEqual(minimal.embedding);
    expect(sent("completion", { best_of: 1, suffix: "", echo: false })).toEqual(minimal.completion);
    expect(sent("chat", { function_call: "auto", reasoning_format: null })).toEqual(minimal.chat);
  });

  test("the one tool that a choice names, and that it is required", () => {
    const other = { type: "function", function: { name: "g" } };
    expect(sent("chat", { tools: [tool, other], tool_choice: { type: "function", function: { name: "g" } } })).toEqual({
      ...minimal.chat,
      tools: [other],
      tool_choice: "required",
    });
  });

  test.each(["response_format", "json_schema"])("no %s, which is of texts, where a call is required", (name) => {
    const structured = { tools: [tool], [name]: { type: name === "json_schema" ? "object" : "json_object" } };
    expect(sent("chat", { ...structured, tool_choice: "required" })).not.toHaveProperty(name);
    expect(sent("chat", { ...structured, tool_choice: "none" })).toHaveProperty(name);
  });

  test("a structure of plain text beside tools", () => {
    expect(sent("chat", { tools: [tool], response_format: { type: "text" } })).toHaveProperty("tools");
  });

  test("the client's own bytes where nothing has to be changed", () => {
    const bytes = Buffer.from(
      JSON.stringify({
        messages: [user, { role: "assistant", content: null, tool_calls: [call] }],
        tools: [{ type: "function", function: { name: "f", parameters: { type: "object", properties: { a: {} } } } }],
        stop: null,
        unknown: { a: [null] },
      }),
    );
    expect(decodeBody("chat", bytes).checked?.().body.bytes).toBe(bytes);
  });
});

test("images pass as data", () => {
  for (const url of ["data:image/png;base64,AAAA", "AAAA"])
    expect(refusal("chat", { messages: [image(url)] })).toBeNull();
});

test("unknown fields pass, names of the language's own objects too", () => {
  expect(
    refusal(
      "chat",
      '{"messages":[{"role":"user","content":"Hi"}],"constructor":1,"__proto__":{"stop":3},"toString":null}',
    ),
  ).toBeNull();
});

test.each([
  ["maxItems", { type: "array", items: { type: "string" }, minItems: 3, maxItems: 2 }],
  ["maxLength", { type: "string", minLength: 3, maxLength: 2 }],
  ["minLength", { type: "string", minLength: 2_001 }],
  ["maximum", { type: "number", minimum: 3, maximum: 2 }],
  ["pattern", { type: "string", pattern: "^a{ 3x,2}$" }],
  ["pattern", { type: "string", pattern: "^a{3,2}$" }],
  ["pattern", { type: "string", pattern: "[".repeat(500_000) }],
  ["pattern", { type: "string", pattern: "^(a?){0,100}$" }],
  ["pattern", { type: "string", pattern: "^\\(?(a*b?){40}$" }],
  ["pattern", { type: "string", pattern: "^\\b(a?){0,100}$" }],
])("an engine's grammar would never end with the %s of a tool that allows nothing", (keyword, schema) => {
  const refused = (parameters: object) => refusal("chat", { tools: [withParameters(parameters)] })?.param;
  const at = "tools[0].function.parameters";
  expect(refused({ type: "object", properties: { x: schema } })).toBe(`${at}.properties.x.${keyword}`);
  expect(refused({ type: "object", $defs: { D: { anyOf: [{}, schema] } } })).toBe(`${at}.$defs.D.anyOf.1.${keyword}`);
});

test.each([
  'root ::= "a"{0,1000} # }{3,2}\n',
  'root ::= ("a" "b"?){0,500}',
  'root ::= ("a"?){0,64}',
  'root ::= s\ns ::= "(" s ")" s |',
  'root ::= object\nobject ::= "{" ws ( string ":" ws value ("," ws string ":" ws value)* )? "}" ws\nvalue ::= object | string\nstring ::= "\\"" ( [^"\\\\] | "\\\\" ["\\\\/bfnrt] )* "\\"" ws\nws ::= ([ \\t\\n] ws)?',
  `root ::= ${Array.from({ length: 1_000 }, (_, index) => `"w${index}"`).join(" | ")}`,
  `root ::= item+\nitem ::= "- " [^\\r\\n\\x0b\\x0c\\x85\\u2028\\u2029]+ "\\n"`,
  `root ::= "a" ${"#".repeat(30_000)}\n  "b"`,
])("a grammar that an engine can follow is sent to it: %#", (grammar) => {
  expect(refusal("chat", { grammar })).toBeNull();
});

test.each([
  "^(?=.*[A-Z])(?=.*\\d).{8,64}$",
  "^[\\w.-]{1,64}@[a-z.]{1,255}$",
  "^\\bfoo{1,64}\\b$",
  "[a-z",
  "^(?P<x>a?){9}$",
])("a tool's pattern %s is left to the engine", (pattern) => {
  expect(refusal("chat", { tools: [withParameters({ type: "string", pattern })] })).toBeNull();
});
