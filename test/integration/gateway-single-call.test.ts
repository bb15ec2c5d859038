import { afterAll, beforeAll, expect, test } from "vitest";
import { type TestGateway, testGateway } from "../support/gateway.ts";
import { jsonAnswer, LAST_CHUNK, sseHead } from "../support/scripted-upstream.ts";

// What an engine answers that ignores `parallel_tool_calls`.
const call = (id: string, name: string, args: string) => ({
  id,
  type: "function",
  function: { name, arguments: args },
});
const message = {
  role: "assistant",
  content: null,
  tool_calls: [call("a", "look", '{"x":1}'), call("b", "look", "{}")],
};
const whole = {
  ...{ id: "chatcmpl-1", object: "chat.completion", created: 1, model: "river" },
  choices: [{ index: 0, finish_reason: "tool_calls", message }],
  usage: { prompt_tokens: 9, completion_tokens: 8, total_tokens: 17 },
};
const delta = (part: object, finish: string | null = null): string =>
  `data: ${JSON.stringify({ id: "chatcmpl-1", model: "river", choices: [{ index: 0, delta: part, finish_reason: finish }] })}\n\n`;
const calls = (...parts: object[]): string => delta({ tool_calls: parts });
const more = (index: number, args: string): string => calls({ index, function: { arguments: args } });
const stream = [
  delta({ role: "assistant", content: "Größe" }),
  calls({ index: 0, ...call("a", "look", "") }),
  more(0, '{"x"'),
  calls({ index: 0, function: { arguments: ":1}" } }, { index: 1, ...call("b", "look", "") }),
  more(1, "{}"),
  delta({}, "tool_calls"),
  "data: [DONE]\n\n",
];

let running: TestGateway;
beforeAll(async () => {
  running = await testGateway((socket, { body }) => {
    // In pieces that end within events and characters.
    const text = Buffer.from(stream.join(""));
    const pieces = Array.from({ length: Math.ceil(text.length / 50) }, (_, at) => text.subarray(at * 50, at * 50 + 50));
    const frames = pieces.flatMap((piece) => [`${piece.length.toString(16)}\r\n`, piece, "\r\n"]);
    const streamed = body.includes('"stream":true');
    socket.end(
      streamed
        ? Buffer.concat([sseHead, ...frames, LAST_CHUNK].map((part) => Buffer.from(part)))
        : jsonAnswer(JSON.stringify(whole)),
    );
  });
});
afterAll(() => running[Symbol.asyncDispose]());

const tool = { name: "look", parameters: { type: "object" } };
const post = async (path: string, fields: object): Promise<string> => {
  const answer = await fetch(running.url + path, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ model: "river", ...fields }),
  });
  expect(answer.status).toBe(200);
  return await answer.text();
};
const messages = [{ role: "user", content: "Hi" }];
const chat = { messages, tools: [{ type: "function", function: tool }] };
const anthropic = {
  ...{ messages, max_tokens: 50 },
  tools: [{ name: "look", input_schema: { type: "object" } }],
  tool_choice: { type: "auto", disable_parallel_tool_use: true },
};
const responses = { input: "Hi", tools: [{ type: "function", ...tool, strict: false }], parallel_tool_calls: false };

test("without the field, an answer passes unchanged", async () => {
  expect(JSON.parse(await post("/v1/chat/completions", chat))).toEqual(whole);
  expect(await post("/v1/chat/completions", { ...chat, stream: true })).toBe(stream.join(""));
  expect(JSON.parse(await post("/v1/chat/completions", { ...chat, parallel_tool_calls: true }))).toEqual(whole);
});

test("with parallel_tool_calls: false an answer in one piece has one call", async () => {
  const answer = JSON.parse(await post("/v1/chat/completions", { ...chat, parallel_tool_calls: false }));
  const only = { ...message, tool_calls: [call("a", "look", '{"x":1}')] };
  expect(answer).toEqual({ ...whole, choices: [{ index: 0, finish_reason: "tool_calls", message: only }] });
});

test("with parallel_tool_calls: false a stream has one call", async () => {
  const text = await post("/v1/chat/completions", { ...chat, parallel_tool_calls: false, stream: true });
  const [first, second, third, , , ...rest] = stream;
  expect(text).toBe([first, second, third, more(0, ":1}"), ...rest].join(""));
});

test("Anthropic's disable_parallel_tool_use has the same effect", async () => {
  const answer = JSON.parse(await post("/v1/messages", anthropic)) as { content: { type: string }[] };
  expect(answer.content.filter(({ type }) => type === "tool_use")).toMatchObject([{ id: "a", input: { x: 1 } }]);
  const text = await post("/v1/messages", { ...anthropic, stream: true });
  expect([...text.matchAll(/"type":"tool_use"/g)]).toHaveLength(1);
  expect(text).toContain('"stop_reason":"tool_use"');
});

test("so has the field of /v1/responses", async () => {
  const answer = JSON.parse(await post("/v1/responses", responses)) as { output: { type: string }[] };
  expect(answer.output.filter(({ type }) => type === "function_call")).toMatchObject([{ call_id: "a" }]);
  const text = await post("/v1/responses", { ...responses, stream: true });
  expect([...text.matchAll(/^event: response\.function_call_arguments\.done$/gm)]).toHaveLength(1);
});
