import { describe, expect, test } from "vitest";
import { eventually } from "../support/assistant.ts";
import { chatBody, startGateway, type TestGateway } from "../support/gateway.ts";
import { bodyOf, postBytes, rawClient } from "../support/raw-http.ts";
import { chunk, jsonAnswer, LAST_CHUNK, sseHead } from "../support/scripted-upstream.ts";

// Events as a stock llama-server sends them when asked for usage and progress.
const common = '"created":7,"id":"chatcmpl-9","model":"river","system_fingerprint":"b1"';
const chat = (delta: string, finish = "null", rest = ""): string =>
  `data: {"choices":[{"finish_reason":${finish},"index":0,"delta":${delta}}],${common},"object":"chat.completion.chunk"${rest}}\n\n`;
const progress = chat(
  '{"role":"assistant","content":null}',
  "null",
  ',"prompt_progress":{"total":32,"cache":0,"processed":16,"time_ms":5}',
);
const role = chat('{"role":"assistant","content":null}');
const usageFields =
  '"usage":{"completion_tokens":2,"prompt_tokens":32,"total_tokens":34},"timings":{"cache_n":4,"prompt_n":28,"prompt_ms":1.5,"predicted_n":2,"predicted_ms":2.5}';
const usage = `data: {"choices":[],${common},"object":"chat.completion.chunk",${usageFields}}\n\n`;
const done = "data: [DONE]\n\n";
const plain = [role, chat('{"content":"Grü"}'), chat('{"content":"ße"}'), chat("{}", '"stop"')];
const stream = [progress, progress, ...plain, usage, done];

let running: TestGateway | null = null;
const start = async (answer: string): Promise<TestGateway> => {
  running = await startGateway((socket) => socket.end(answer));
  running.dispatcher.noticesDisconnects = false;
  return running;
};

const path = "/v1/chat/completions";
const chunked = (events: readonly string[]): string => sseHead + events.map(chunk).join("") + LAST_CHUNK;
const events = (text: string): string[] => [...text.matchAll(/data: .*\n\n/g)].map(([event]) => event);

async function whole(body: object, at = path): Promise<Record<string, unknown>> {
  const answer = await fetch(`${running?.url}${at}`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(body),
  });
  expect(answer.headers.get("content-type")).toMatch(/^application\/json/);
  return (await answer.json()) as Record<string, unknown>;
}

async function streamed(body: object): Promise<string> {
  const client = await rawClient(running?.port ?? 0);
  client.send(postBytes(path, body));
  return bodyOf(await client.until(LAST_CHUNK));
}

test("the engine is asked to stream, with usage and progress, whatever the client asked", async () => {
  const { upstream } = await start(chunked(stream));
  await whole(chatBody({ temperature: 0.5 }));
  expect(JSON.parse(upstream.requests[0]?.body ?? "")).toEqual({
    ...chatBody({ temperature: 0.5 }),
    stream: true,
    stream_options: { include_usage: true },
    return_progress: true,
  });
  expect(upstream.requests[0]?.head).toMatch(/connection: close/i);
});

test("a client that asked for one piece gets one", async () => {
  const { dispatcher } = await start(chunked(stream));
  expect(await whole(chatBody())).toEqual({
    choices: [{ finish_reason: "stop", index: 0, message: { role: "assistant", content: "Grüße" } }],
    created: 7,
    id: "chatcmpl-9",
    model: "river",
    system_fingerprint: "b1",
    object: "chat.completion",
    usage: { completion_tokens: 2, prompt_tokens: 32, total_tokens: 34 },
    timings: { cache_n: 4, prompt_n: 28, prompt_ms: 1.5, predicted_n: 2, predicted_ms: 2.5 },
  });
  await eventually("the outcome", () => dispatcher.granted[0]?.outcome?.completionTokens === 2);
  expect(dispatcher.granted[0]?.outcome).toMatchObject({ end: "complete", promptTokens: 32, cachedTokens: 4 });
});

test("tool calls, reasoning, log probabilities and several choices are put together by index", async () => {
  const tool = (fields: string): string => chat(`{"tool_calls":[${fields}]}`);
  const choice = (index: number, delta: string, rest = ""): string =>
    `data: {"choices":[{"finish_reason":null,"index":${index},"delta":${delta}${rest}}],${common}}\n\n`;
  await start(
    chunked([
      chat('{"reasoning_content":"think "}'),
      chat('{"reasoning_content":"hard"}'),
      tool('{"index":0,"id":"call_a","type":"function","function":{"name":"river","arguments":"{\\"na"}}'),
      tool('{"index":1,"id":"call_b","type":"function","function":{"name":"sea","arguments":"{}"}}'),
      tool('{"index":0,"function":{"arguments":"me\\":1}"}}'),
      chat("{}", '"tool_calls"'),
      choice(1, '{"content":"b"}', ',"logprobs":{"content":[{"token":"b"}]}'),
      choice(1, '{"content":"c"}', ',"logprobs":{"content":[{"token":"c"}]}'),
      done,
    ]),
  );
  expect((await whole(chatBody({ n: 2 })))["choices"]).toEqual([
    {
      finish_reason: "tool_calls",
      index: 0,
      message: {
        role: "assistant",
        content: null,
        reasoning_content: "think hard",
        tool_calls: [
          { id: "call_a", type: "function", function: { name: "river", arguments: '{"name":1}' } },
          { id: "call_b", type: "function", function: { name: "sea", arguments: "{}" } },
        ],
      },
    },
    {
      finish_reason: null,
      index: 1,
      message: { role: "assistant", content: "bc" },
      logprobs: { content: [{ token: "b" }, { token: "c" }] },
    },
  ]);
});

test("a completion is put together too", async () => {
  const text = (piece: string, rest = ""): string =>
    `data: {"choices":[{"text":"${piece}","index":0,"logprobs":null,"finish_reason":null}],${common},"object":"text_completion"${rest}}\n\n`;
  await start(
    chunked([text("", ',"prompt_progress":{"total":2}'), text("a"), text("b"), text("", `,${usageFields}`), done]),
  );
  const answer = await whole({ model: "river", prompt: "x" }, "/v1/completions");
  expect(answer).toMatchObject({
    object: "text_completion",
    choices: [{ text: "ab", index: 0, logprobs: null, finish_reason: null }],
    usage: { completion_tokens: 2 },
  });
});

describe("a client that asked for a stream", () => {
  test("gets it without what it did not ask for", async () => {
    await start(chunked(stream));
    expect(events(await streamed(chatBody({ stream: true })))).toEqual([...plain, done]);
  });
  test("gets the usage it asked for", async () => {
    await start(chunked(stream));
    expect(events(await streamed(chatBody({ stream: true, stream_options: { include_usage: true } })))).toEqual([
      ...plain,
      usage,
      done,
    ]);
  });
  test("gets the progress it asked for", async () => {
    await start(chunked(stream));
    expect(events(await streamed(chatBody({ stream: true, return_progress: true })))).toEqual([
      progress,
      progress,
      ...plain,
      done,
    ]);
  });
});

test("a refusal is mapped as any other", async () => {
  await start(
    jsonAnswer(
      '{"error":{"code":400,"message":"x","type":"exceed_context_size_error","n_prompt_tokens":9,"n_ctx":4}}',
      "400 Bad Request",
    ),
  );
  expect((await whole(chatBody()))["error"]).toMatchObject({ code: "context_length_exceeded" });
});

test("an error event becomes an error answer for a client that waits for one piece", async () => {
  await start(chunked([role, 'data: {"error":{"code":500,"message":"out of memory","type":"server_error"}}\n\n']));
  expect((await whole(chatBody()))["error"]).toMatchObject({
    code: "engine_error",
    message: expect.stringContaining("out of memory"),
  });
});

test("a stream that ends too early is no answer", async () => {
  await start(chunked([role, plain[1] ?? ""]));
  expect((await whole(chatBody()))["error"]).toMatchObject({ code: "engine_lost" });
});

test("a client that leaves in prefill stops the engine at its next sign", async () => {
  const { port, upstream, dispatcher } = await start("");
  upstream.script = (socket) => void socket.write(sseHead + chunk(progress));
  const client = await rawClient(port);
  client.send(postBytes(path, chatBody()));
  await eventually("the engine has begun", () => upstream.requests.length === 1);
  client.socket.end();
  await eventually("the engine's connection is closed", () => upstream.closed() === 1, 2_000);
  expect(dispatcher.granted[0]?.outcome?.end).toBe("cancelled");
});

test("a request that names a slot is refused, since it could spoil the answer of whoever is in it", async () => {
  const { dispatcher } = await start(chunked(stream));
  const answer = await whole(chatBody({ id_slot: 1 }));
  expect(answer.error).toMatchObject({
    code: "invalid_request",
    param: "id_slot",
    remedy: expect.stringContaining("engine build"),
  });
  await eventually("the lease is back", () => dispatcher.granted[0]?.disposed === true);
  expect(dispatcher.granted[0]?.outcome?.end).toBe("client-error");
  expect(await whole(chatBody({ id_slot: -1 }))).toHaveProperty("choices");
});
