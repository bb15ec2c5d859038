import { afterEach, beforeEach, expect, test } from "vitest";
import { Cancellation } from "../../../src/core/cancellation.ts";
import type { InferenceCall } from "../../../src/core/inference.ts";
import { ENGINE_SAMPLING } from "../../../src/core/model.ts";
import type { Provider } from "../../../src/core/provider.ts";
import { CallerGone, SendFailure } from "../../../src/core/upstream.ts";
import type { ProviderConnection } from "../../../src/upstreams/connector.ts";
import { ProviderClient } from "../../../src/upstreams/http/client.ts";
import { connectOpenAi } from "../../../src/upstreams/http/openai.ts";
import {
  chunk,
  events,
  type FakeProvider,
  json,
  type Script,
  STREAM,
  startProvider,
  WHOLE,
} from "../../fakes/provider.ts";
import { eventually } from "../../support/assistant.ts";
import { chatCall, RecordingSink, sendingOf } from "../../support/calls.ts";
import { testModel } from "../../support/fake-engine.ts";
import { testProvider } from "../../support/providers.ts";

let fake: FakeProvider;
const clients: ProviderClient[] = [];
beforeEach(async () => {
  fake = await startProvider();
});
afterEach(async () => {
  for (const client of clients.splice(0)) client.close();
  await fake[Symbol.asyncDispose]();
});

function connection(changes: Partial<Provider> = {}): ProviderConnection {
  const provider = testProvider(fake.url, changes);
  const client = new ProviderClient(provider);
  clients.push(client);
  return connectOpenAi({ provider, client, nodeId: "node-1", modelName: () => "theirs" });
}

function callOf(body: object, changes: Partial<InferenceCall> = {}): InferenceCall {
  const json = { model: "river", messages: [{ role: "user", content: "Name a river." }], ...body };
  const streamed = (json as { stream?: boolean }).stream ?? false;
  return chatCall({ body: { bytes: Buffer.from(JSON.stringify(json)), json }, streamed, ...changes });
}

const CHAT = "/chat/completions";

async function failure(
  script: Script,
  body: object = {},
  changes: Partial<Provider> = {},
): Promise<SendFailure & { sink: RecordingSink }> {
  fake.script(CHAT, script);
  const sink = new RecordingSink();
  const error = await connection(changes)
    .upstream.send(sendingOf(callOf(body)), sink)
    .then(
      () => null,
      (thrown: unknown) => thrown,
    );
  if (!(error instanceof SendFailure)) throw new Error("nothing failed");
  return Object.assign(error, { sink });
}

test("the client's bytes reach the provider with key and headers, and its answer comes back as it was", async () => {
  const sink = new RecordingSink();
  const sending = sendingOf(callOf({ seed: 7, tools: [] }));
  const facts = await connection({ headers: { "x-title": "test" } }).upstream.send(sending, sink);
  const [call] = fake.to(CHAT);
  expect(call?.body).toBe(
    '{"model":"theirs","messages":[{"role":"user","content":"Name a river."}],"seed":7,"tools":[]}',
  );
  expect(call?.headers).toMatchObject({
    authorization: "Bearer sk-secret",
    "x-title": "test",
    "content-type": "application/json",
  });
  expect(call?.headers).not.toHaveProperty("x-assistant-hops");
  expect(sink).toMatchObject({ status: 200, text: JSON.stringify(WHOLE), ending: "end" });
  expect(sink.headers).toContain("x-test");
  expect(facts).toMatchObject({ promptTokens: 7, cachedTokens: 3, completionTokens: 2, finishReason: "stop" });
  expect(sending.firstTokens).toEqual([true]);
});

test("a stream is relayed byte for byte, and its usage read from the end", async () => {
  const sink = new RecordingSink();
  const sending = sendingOf(callOf({ stream: true }));
  const facts = await connection().upstream.send(sending, sink);
  expect(sink.text).toBe(STREAM.map((data) => `data: ${data}\n\n`).join(""));
  expect(facts).toMatchObject({ promptTokens: 7, completionTokens: 2, finishReason: "stop" });
  expect(sending.firstTokens).toEqual([false]);
  expect(sink.headers).toContain("text/event-stream");
});

test("an event that comes in pieces is passed on whole", async () => {
  fake.script(CHAT, {
    ...events(),
    parts: [": wait\n\nda", `ta: ${chunk("a", "stop")}\r`, "\n\r\ndata: [DO", "NE]\n\n"],
  });
  const sink = new RecordingSink();
  await connection().upstream.send(sendingOf(callOf({ stream: true })), sink);
  expect(sink.text).toBe(`: wait\n\ndata: ${chunk("a", "stop")}\r\n\r\ndata: [DONE]\n\n`);
  for (const part of sink.parts) expect(part.toString()).toMatch(/\n\r?\n$/);
});

test("a stream without [DONE] is whole where its answer has ended", async () => {
  fake.script(CHAT, events(chunk("a", "stop")));
  const sink = new RecordingSink();
  await connection().upstream.send(sendingOf(callOf({ stream: true })), sink);
  expect(sink.ending).toBe("end");
});

test("a provider that keeps its connection open after [DONE] holds nobody up", async () => {
  fake.script(CHAT, { ...events(...STREAM), ending: "hang" });
  const sink = new RecordingSink();
  await connection().upstream.send(sendingOf(callOf({ stream: true })), sink);
  expect(sink.ending).toBe("end");
});

test("usage is asked for where the model's settings say so, and embeddings are answered", async () => {
  const sink = new RecordingSink();
  const { upstream } = connection();
  const model = { ...sendingOf(callOf({})).model, includeUsage: true };
  await upstream.send(sendingOf(callOf({ stream: true }), { model }), sink);
  expect(JSON.parse(fake.to(CHAT)[0]?.body ?? "")).toMatchObject({ stream_options: { include_usage: true } });
  const input = { model: "river", input: "Rhine" };
  const call = chatCall({
    operation: "embedding",
    wire: "openai.embedding",
    body: { bytes: Buffer.from(JSON.stringify(input)), json: input },
  });
  const facts = await upstream.send(sendingOf(call), new RecordingSink());
  expect(facts.promptTokens).toBe(4);
  expect(fake.to("/embeddings")[0]?.body).toBe('{"model":"theirs","input":"Rhine"}');
});

test("sampling of the model's file is sent where the request does not say otherwise", async () => {
  const provider = { type: "provider", offers: [{ provider: "cloud", model: "theirs" }] } as const;
  const sampling = { ...ENGINE_SAMPLING, temperature: 0.2, topP: 0.9, maxTokens: 9, stop: ["END"] };
  const model = testModel({ name: "river", source: provider, sampling });
  const sent = async (body: object): Promise<unknown> => {
    fake.script(CHAT, json(WHOLE));
    await connection().upstream.send(sendingOf(callOf(body), { model }), new RecordingSink());
    const { messages, ...others } = JSON.parse(fake.to(CHAT).at(-1)?.body.toString() ?? "") as Record<string, unknown>;
    return others;
  };
  expect(await sent({})).toEqual({ model: "theirs", temperature: 0.2, top_p: 0.9, max_tokens: 9, stop: ["END"] });
  expect(await sent({ temperature: 1, max_completion_tokens: 5, stop: "x", top_p: null })).toEqual({
    ...{ model: "theirs", temperature: 1, top_p: 0.9, max_completion_tokens: 5, stop: "x" },
  });
});

const SCHEMA = { type: "object", properties: { river: { type: "string" } }, required: ["river"] };
const FORMAT = { type: "json_schema", json_schema: { name: "answer", strict: true, schema: SCHEMA } };

test.each<[string, Partial<Provider>, object, object]>([
  [
    "max_completion_tokens for max_tokens",
    { limitField: "max_completion_tokens" },
    { max_tokens: 5 },
    { max_completion_tokens: 5 },
  ],
  [
    "max_tokens for max_completion_tokens",
    { limitField: "max_tokens" },
    { max_completion_tokens: 5 },
    { max_tokens: 5 },
  ],
  [
    "the limit that counts of several",
    { limitField: "max_tokens" },
    { max_tokens: 9, max_completion_tokens: 7, n_predict: 5 },
    { max_tokens: 5 },
  ],
  ["no limit for -1", { limitField: "max_completion_tokens" }, { max_tokens: -1 }, {}],
  ["max_tokens for n_predict, whichever it takes", {}, { n_predict: 5, max_tokens: null }, { max_tokens: 5 }],
  ["the client's own limit where it takes both", {}, { max_completion_tokens: 5 }, { max_completion_tokens: 5 }],
  ["response_format as it is", {}, { response_format: FORMAT }, { response_format: FORMAT }],
  [
    "response_format for json_schema",
    {},
    { json_schema: SCHEMA, response_format: { type: "text" } },
    { response_format: FORMAT },
  ],
  ["nothing for an empty grammar", {}, { grammar: "", json_schema: null }, {}],
  [
    "llama.cpp's fields as they are to its server",
    { takesLlamaFields: true, limitField: "max_tokens" },
    { grammar: "root ::= x", n_predict: 5 },
    { grammar: "root ::= x", n_predict: 5 },
  ],
])("a provider gets %s", async (_, changes, body, expected) => {
  await connection(changes).upstream.send(sendingOf(callOf({ ...body, seed: 7 })), new RecordingSink());
  const { messages, ...sent } = JSON.parse(fake.to(CHAT).at(-1)?.body ?? "") as Record<string, unknown>;
  expect(sent).toEqual({ model: "theirs", ...expected, seed: 7 });
});

test("a limit is renamed without another byte being touched", async () => {
  const text = '{"model":"river", "seed":12345678901234567890, "max_tokens" : 5, "x":1.0}';
  const call = callOf({});
  const body = { bytes: Buffer.from(text), json: JSON.parse(text) };
  await connection({ limitField: "max_completion_tokens" }).upstream.send(
    sendingOf({ ...call, body }),
    new RecordingSink(),
  );
  expect(fake.to(CHAT)[0]?.body).toBe(
    '{"model":"theirs", "seed":12345678901234567890, "max_completion_tokens" : 5, "x":1.0}',
  );
});

test("text completions have but one name for their limit", async () => {
  const prompt = { model: "river", prompt: "The Rhine", max_tokens: 5 };
  const body = { bytes: Buffer.from(JSON.stringify(prompt)), json: prompt };
  fake.script("/completions", json(WHOLE));
  await connection({ limitField: "max_completion_tokens" }).upstream.send(
    sendingOf(chatCall({ operation: "completion", wire: "openai.completion", body })),
    new RecordingSink(),
  );
  expect(JSON.parse(fake.to("/completions")[0]?.body ?? "")).toEqual({ ...prompt, model: "theirs" });
});

test.each<[object, string, RegExp]>([
  [
    { grammar: "root ::= x" },
    "grammar",
    /"grammar" is specific to llama\.cpp, and the provider "cloud" is not known to support it/,
  ],
  [{ json_schema: "{}" }, "json_schema", /must be a JSON Schema/],
  [{ json_schema: SCHEMA, response_format: FORMAT }, "json_schema", /are both set/],
])("%j is refused before anything is sent", async (body, param, message) => {
  const { reason, retry } = await failure(json(WHOLE), body);
  expect(reason).toMatchObject({ code: "invalid_request", param, message: expect.stringMatching(message) });
  expect(retry).toBe("never");
  expect(fake.to(CHAT)).toEqual([]);
});

test("sound passes through with its type", async () => {
  fake.script("/audio/speech", { headers: { "content-type": "audio/mpeg" }, parts: ["ID3", "sound"] });
  const input = { model: "river", input: "Rhine", voice: "alloy" };
  const body = { bytes: Buffer.from(JSON.stringify(input)), json: input };
  const sink = new RecordingSink();
  await connection().upstream.send(sendingOf(chatCall({ operation: "speech", wire: "openai.speech", body })), sink);
  expect([sink.text, sink.ending, sink.headers.slice(0, 2)]).toEqual([
    "ID3sound",
    "end",
    ["Content-Type", "audio/mpeg"],
  ]);
});

test("a slow client slows the provider down and gets everything", async () => {
  fake.script(
    CHAT,
    events(...Array.from({ length: 200 }, (_, index) => chunk(`${index} ${"x".repeat(2_000)}`)), "[DONE]"),
  );
  const sink = new RecordingSink();
  sink.isSlow = true;
  const sent = connection().upstream.send(sendingOf(callOf({ stream: true })), sink);
  const drain = setInterval(() => {
    for (const resume of sink.waiters.splice(0)) resume();
  }, 1);
  await sent.finally(() => clearInterval(drain));
  expect(sink.text.match(/^data: /gm)).toHaveLength(201);
});

test("another Assistant learns which daemons a request has come through", async () => {
  await connection({ isAssistant: true }).upstream.send(
    sendingOf(callOf({}, { hops: ["node-0"], priority: 70 })),
    new RecordingSink(),
  );
  expect(fake.to(CHAT)[0]?.headers).toMatchObject({
    "x-assistant-hops": "node-0, node-1",
    "x-assistant-priority": "70",
  });
});

test("a client that disconnects closes the connection to the provider", async () => {
  fake.script(CHAT, { ...events(chunk("a")), ending: "hang" });
  const cancellation = new Cancellation();
  const sink = new RecordingSink();
  const sent = connection().upstream.send(sendingOf(callOf({ stream: true }, { cancellation })), sink);
  const settled = expect(sent).rejects.toBeInstanceOf(CallerGone);
  await eventually("part of the answer has come", () => sink.parts.length > 0);
  cancellation.cancel(new Error("left"));
  await settled;
  await eventually("the provider has seen it", () => fake.to(CHAT)[0]?.isGivenUp === true);
});

test.each<[string, Script, object, { code: string; retry: string; message: RegExp }]>([
  [
    "an HTML page",
    { headers: { "content-type": "text/html" }, parts: ["<html>"] },
    {},
    {
      code: "provider_error",
      retry: "once",
      message: /^The provider "cloud" answered with an HTML page instead of JSON\.$/,
    },
  ],
  ["no content type", { parts: ["{}"] }, {}, { code: "provider_error", retry: "once", message: /no content type/ }],
  [
    "half a JSON",
    { headers: { "content-type": "application/json" }, parts: ['{"choices":['] },
    {},
    { code: "provider_error", retry: "once", message: /sent JSON that is not complete/ },
  ],
  [
    "JSON for a stream",
    json(WHOLE),
    { stream: true },
    { code: "provider_error", retry: "once", message: /answered with JSON instead of an event stream/ },
  ],
  ["a stream for JSON", events(...STREAM), {}, { code: "provider_error", retry: "once", message: /instead of JSON/ }],
  [
    "an error inside 200",
    json({ error: { message: "Overloaded", code: 529 } }),
    {},
    { code: "provider_busy", retry: "elsewhere", message: /accepts no more requests at the moment: Overloaded\./ },
  ],
  [
    "an error as the first event",
    events(JSON.stringify({ error: { message: "The engine died", type: "server_error" } })),
    { stream: true },
    { code: "provider_unavailable", retry: "elsewhere", message: /failed with status 500: The engine died\./ },
  ],
  [
    "an event that is not JSON",
    events("oops"),
    { stream: true },
    { code: "provider_error", retry: "once", message: /sent an event that is not JSON/ },
  ],
  [
    "a stream of nothing",
    events(),
    { stream: true },
    { code: "provider_error", retry: "once", message: /ended its stream without an answer/ },
  ],
  [
    "a compressed answer",
    { headers: { "content-type": "application/json", "content-encoding": "gzip" }, parts: ["x"] },
    {},
    { code: "provider_error", retry: "once", message: /compresses its answer \(gzip\)/ },
  ],
  [
    "a redirect",
    { status: 308, headers: { location: "https://elsewhere.example/v1" } },
    {},
    { code: "provider_error", retry: "once", message: /redirects to https:\/\/elsewhere\.example\/v1/ },
  ],
  [
    "a rejected key",
    json({ error: { message: "Incorrect API key provided: sk-secret", code: "invalid_api_key" } }, { status: 401 }),
    {},
    {
      code: "provider_rejected_key",
      retry: "elsewhere",
      message:
        /^The provider "cloud" rejects the key of the environment variable CLOUD_KEY: Incorrect API key provided: …$/,
    },
  ],
  [
    "no credit",
    json({ error: { message: "Insufficient balance" } }, { status: 402 }),
    {},
    { code: "provider_unavailable", retry: "elsewhere", message: /has no credit left/ },
  ],
  [
    "an unknown model",
    json({ error: { message: "The model does not exist", code: "model_not_found" } }, { status: 404 }),
    {},
    {
      code: "provider_error",
      retry: "elsewhere",
      message: /has no model "theirs" for this: The model does not exist\./,
    },
  ],
  [
    "an unknown path",
    { status: 404, headers: { "content-type": "text/html" }, parts: ["<h1>"] },
    {},
    { code: "provider_error", retry: "once", message: /does not answer at http/ },
  ],
  [
    "a rate limit",
    json({ error: { message: "Slow down" } }, { status: 429, headers: { "retry-after": "7" } }),
    {},
    { code: "provider_busy", retry: "elsewhere", message: /Slow down/ },
  ],
  [
    "a failure",
    { status: 502, headers: { "content-type": "text/html" }, parts: ["<h1>Bad gateway"] },
    {},
    { code: "provider_unavailable", retry: "elsewhere", message: /failed with status 502/ },
  ],
  [
    "a connection that breaks before its answer",
    { headers: { "content-type": "application/json" }, ending: "cut" },
    {},
    { code: "provider_unavailable", retry: "elsewhere", message: /broke off/ },
  ],
  [
    "a wrong field",
    json({ error: { message: "must be positive", param: "max_tokens" } }, { status: 400 }),
    {},
    { code: "invalid_request", retry: "never", message: /refuses the request: must be positive\./ },
  ],
  [
    "a wrong field, in FastAPI's words",
    json({ detail: [{ loc: ["body", "top_p"], msg: "not a number" }] }, { status: 422 }),
    {},
    { code: "invalid_request", retry: "never", message: /top_p: not a number/ },
  ],
  [
    "a prompt that is too long",
    json(
      { error: { message: "This model's maximum context length is 8 tokens", code: "context_length_exceeded" } },
      { status: 400 },
    ),
    {},
    { code: "context_length_exceeded", retry: "never", message: /maximum context length/ },
  ],
])("%s is an error that names the provider, before a byte of an answer", async (_, script, body, expected) => {
  const { reason, retry, sink } = await failure(script, body);
  expect({ code: reason.code, retry }).toEqual({ code: expected.code, retry: expected.retry });
  expect(reason.message).toMatch(expected.message);
  expect(reason.message).not.toContain("sk-secret");
  expect(sink.parts).toEqual([]);
});

test("fields and waits that a provider states are passed on", async () => {
  const field = json({ error: { message: "must be positive", param: "max_tokens" } }, { status: 400 });
  expect((await failure(field)).reason.param).toBe("max_tokens");
  const limit = json({ error: { message: "Slow down" } }, { status: 429, headers: { "retry-after": "7" } });
  expect((await failure(limit)).reason.retryAfterS).toBe(7);
});

test.each<[string, Script, RegExp]>([
  [
    "half an event",
    { ...events(chunk("a")), parts: [`data: ${chunk("a")}\n\n`, 'data: {"cho'] },
    /ended in the middle of an event/,
  ],
  ["a stream that stops before its end", events(chunk("a")), /broke off in the middle of its answer/],
  ["a broken connection", { ...events(chunk("a")), ending: "cut" }, /broke off in the middle of its answer/],
  [
    "an error as a later event",
    events(chunk("a"), JSON.stringify({ error: { message: "Out of memory" } })),
    /Out of memory/,
  ],
])("%s ends the stream between two events", async (_, script, message) => {
  const { reason, betweenEvents, sink } = await failure(script, { stream: true });
  expect(reason.message).toMatch(message);
  expect(betweenEvents).toBe(true);
  expect(sink.text).toBe(`data: ${chunk("a")}\n\n`);
});

test("silence ends a call after its time-out", async () => {
  const { reason } = await failure(
    { headers: { "content-type": "application/json" }, ending: "hang" },
    {},
    { connectTimeoutMs: 1, silenceTimeoutMs: 30 },
  );
  expect(reason).toMatchObject({ code: "provider_timeout", message: 'The provider "cloud" sent nothing for 0.03 s.' });
});

test("an address where nobody listens is named", async () => {
  await fake[Symbol.asyncDispose]();
  const error = await connection()
    .upstream.send(sendingOf(callOf({})), new RecordingSink())
    .catch((thrown: unknown) => thrown);
  expect(error).toMatchObject({
    retry: "elsewhere",
    reason: {
      code: "provider_unavailable",
      message: expect.stringMatching(
        /^The provider "cloud" cannot be reached at http:\/\/127\.0\.0\.1:\d+: nothing listens at that address\.$/,
      ),
    },
  });
  fake = await startProvider();
});

test("a provider without a list of models has none to tell, one with a page in its place is wrong", async () => {
  const { listModels } = connection();
  expect((await listModels())?.map(({ id, kind }) => [id, kind])).toEqual([
    ["large", "chat"],
    ["embed-small", "embedding"],
  ]);
  fake.script("/models", { status: 404 });
  expect(await listModels()).toBeNull();
  fake.script("/models", { headers: { "content-type": "text/html" }, parts: ["<html>"] });
  await expect(listModels()).rejects.toMatchObject({ code: "provider_error" });
  fake.script("/models", json({ error: { message: "no" } }, { status: 401 }));
  await expect(listModels()).rejects.toMatchObject({ code: "provider_rejected_key" });
});
