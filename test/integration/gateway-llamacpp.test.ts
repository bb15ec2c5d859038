import { expect, test } from "vitest";
import { testModel } from "../support/fake-engine.ts";
import { chatModel, embeddingModel, startGateway, type TestGateway } from "../support/gateway.ts";
import { chunk, jsonAnswer, LAST_CHUNK, sseHead } from "../support/scripted-upstream.ts";

const coder = testModel({ name: "coder", capabilities: { type: "chat", completion: true, infill: true } });
const plain = testModel({ name: "plain", capabilities: { type: "chat", completion: true, infill: false } });

let running: TestGateway | null = null;

const start = async (answer: string, options: Parameters<typeof startGateway>[1] = {}): Promise<TestGateway> => {
  running = await startGateway((socket) => socket.end(answer), options);
  return running;
};
const post = (path: string, body: object): Promise<Response> =>
  fetch(`${running?.url}${path}`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(body),
  });
const get = (path: string, headers: Record<string, string> = {}): Promise<Response> =>
  fetch(`${running?.url}${path}`, { headers });

test("a request goes to the model that its query names, byte for byte", async () => {
  const { upstream, lines } = await start(jsonAnswer('{"tokens":[1,2]}'));
  const answer = await post("/tokenize?model=vectors", { content: "Name  three.", with_pieces: false });
  expect(await answer.json()).toEqual({ tokens: [1, 2] });
  expect(answer.headers.get("x-assistant-model")).toBe("vectors");
  expect(upstream.requests[0]?.head).toMatch(/^POST \/tokenize HTTP/);
  expect(upstream.requests[0]?.body).toBe('{"content":"Name  three.","with_pieces":false}');
  expect(lines.find(({ message }) => message === "request")).toMatchObject({ route: "/tokenize", model: "vectors" });
});

test("without a name the only model answers; where there are several, they are listed in llama-server's shape", async () => {
  await start(jsonAnswer('{"prompt":"<user>Hi"}'));
  const messages = [{ role: "user", content: "Hi" }];
  expect(await (await post("/apply-template", { messages })).json()).toEqual({ prompt: "<user>Hi" });
  const refused = await post("/tokenize", { content: "Hi" });
  expect(refused.status).toBe(400);
  expect(await refused.json()).toMatchObject({
    error: {
      code: 400,
      type: "invalid_request_error",
      param: "model",
      message: expect.stringMatching(/river.*vectors/),
    },
  });
});

test("the tokens of a chat are counted with and without /v1", async () => {
  const { upstream } = await start(jsonAnswer('{"input_tokens":9,"object":"response.input_tokens"}'));
  for (const path of ["/v1/chat/completions/input_tokens", "/chat/completions/input_tokens"])
    expect(await (await post(path, { messages: [{ role: "user", content: "Hi" }] })).json()).toMatchObject({
      input_tokens: 9,
    });
  expect(upstream.requests[1]?.head).toMatch(/^POST \/v1\/chat\/completions\/input_tokens HTTP/);
});

test("a stream is the engine's own, and what it used is read from its end", async () => {
  const events = [
    'data: {"index":0,"content":"Rhine","tokens":[5],"stop":false}\n\n',
    'data: {"index":0,"content":"","stop":true,"stop_type":"limit","timings":{"cache_n":2,"prompt_n":3,"prompt_ms":4.5,"predicted_n":1,"predicted_ms":6.5}}\n\n',
  ];
  const { lines, upstream } = await start(`${sseHead}${events.map(chunk).join("")}${LAST_CHUNK}`);
  const answer = await post("/completion", { prompt: "Name", n_predict: 1, stream: true });
  expect(await answer.text()).toBe(events.join(""));
  expect(upstream.requests[0]?.head).toMatch(/^POST \/completion HTTP/);
  expect(lines.find(({ message }) => message === "request")).toMatchObject({
    ...{
      route: "/completion",
      promptTokens: 5,
      cachedTokens: 2,
      completionTokens: 1,
      finish: "length",
      end: "complete",
    },
  });
});

test("a stock llama-server, which does not notice disconnects, is asked for streams alone", async () => {
  const { dispatcher, upstream } = await start(`${sseHead}${chunk('data: {"stop":true}\n\n')}${LAST_CHUNK}`);
  dispatcher.noticesDisconnects = false;
  const refused = await post("/completion", { prompt: "Name" });
  expect(refused.status).toBe(400);
  expect(await refused.json()).toMatchObject({ error: { param: "stream" } });
  expect(upstream.requests).toEqual([]);
  expect((await post("/completion", { prompt: "Name", stream: true })).status).toBe(200);
});

test("a gap is filled by models that can, and by no others", async () => {
  const { upstream } = await start(jsonAnswer('{"content":"x","stop":true,"stop_type":"eos"}'), {
    models: [coder, plain],
  });
  const gap = { input_prefix: "let ", input_suffix: " = 1;" };
  const refused = await post("/infill", { ...gap, model: "plain" });
  expect(refused.status).toBe(400);
  expect(await refused.json()).toMatchObject({
    error: {
      type: "not_supported_error",
      param: "model",
      message: expect.stringMatching(/It offers completion\..*"coder"/),
    },
  });
  expect(upstream.requests).toEqual([]);
  expect(await (await post("/infill?model=coder", gap)).json()).toMatchObject({ content: "x" });
  expect(upstream.requests.at(-1)?.head).toMatch(/^POST \/infill HTTP/);
});

test("a completion with a suffix fills the gap, whole and as a stream, in OpenAI's format", async () => {
  const events = [
    'data: {"index":0,"content":"Rhi","tokens":[5],"stop":false}\n\n',
    'data: {"index":0,"content":"ne","tokens":[6],"stop":false}\n\n',
    'data: {"index":0,"content":"","stop":true,"stop_type":"limit","timings":{"cache_n":2,"prompt_n":3,"predicted_n":2}}\n\n',
  ];
  const { upstream } = await start(`${sseHead}${events.map(chunk).join("")}${LAST_CHUNK}`, { models: [coder, plain] });
  const asked = { prompt: "The ", suffix: " flows.", max_tokens: 2, stop: "\n" };
  const refused = await post("/v1/completions", { ...asked, model: "plain" });
  expect([refused.status, await refused.json()]).toMatchObject([
    400,
    { error: { code: "unsupported_capability", param: "suffix", message: expect.stringContaining('use "coder"') } },
  ]);
  const usage = {
    ...{ completion_tokens: 2, prompt_tokens: 5, total_tokens: 7 },
    prompt_tokens_details: { cached_tokens: 2 },
  };
  const whole = await (await post("/v1/completions", { ...asked, model: "coder" })).json();
  const choice = { text: "Rhine", index: 0, logprobs: null, finish_reason: "length" };
  expect(whole).toMatchObject({ object: "text_completion", model: "coder", choices: [choice], usage });
  expect(upstream.requests.at(-1)?.head).toMatch(/^POST \/infill HTTP/);
  expect(JSON.parse(upstream.requests.at(-1)?.body ?? "")).toEqual({
    ...{ model: "coder", input_prefix: "The ", input_suffix: " flows.", max_tokens: 2, stop: ["\n"] },
    ...{ stream: true, return_progress: true },
  });
  const stream = await post("/v1/completions", { ...asked, model: "coder", stream: true });
  const datas = [...(await stream.text()).matchAll(/^data: (.*)$/gm)].map(([, data = ""]) => data);
  expect(datas.at(-1)).toBe("[DONE]");
  const chunks = datas.slice(0, -1).map((data) => JSON.parse(data) as { choices: [object]; usage?: object });
  expect(chunks.map(({ choices: [one] }) => one)).toMatchObject([
    { text: "Rhi", finish_reason: null },
    { text: "ne", finish_reason: null },
    { text: "", finish_reason: "length" },
  ]);
  expect(chunks.some((one) => one.usage !== undefined)).toBe(false);
});

test("a token that there is not is the client's mistake", async () => {
  const message = "vector::_M_range_check: __n (which is 99999) >= this->size() (which is 49152)";
  await start(jsonAnswer(JSON.stringify({ error: { code: 500, message, type: "server_error" } }), "500 Oh"));
  const refused = await post("/detokenize?model=river", { tokens: [99999] });
  expect(refused.status).toBe(400);
  expect(await refused.json()).toMatchObject({
    error: { code: 400, param: "tokens", message: expect.stringMatching(/"river" has 49152 tokens/) },
  });
});

test("properties and adapters are those of the model, without the folders of this machine", async () => {
  const { upstream } = await start(jsonAnswer('{"total_slots":2,"model_path":"/home/me/models/river.gguf"}'));
  const props = await get("/props?model=river");
  expect(await props.json()).toEqual({ total_slots: 2, model_path: "river.gguf" });
  expect(upstream.requests[0]?.head).toMatch(/^GET \/props HTTP/);
  upstream.script = (socket) => void socket.end(jsonAnswer('[{"id":0,"path":"/home/me/a.gguf","scale":1}]'));
  expect(await (await get("/lora-adapters?model=river")).json()).toEqual([{ id: 0, path: "a.gguf", scale: 1 }]);
});

test("slots show how far they are, and nothing of what others asked", async () => {
  const slot = {
    ...{ id: 0, id_task: 5, n_ctx: 1024, is_processing: true, n_prompt_tokens: 7, prompt: "secret", generated: "too" },
    params: { grammar: "secret" },
    next_token: [{ n_decoded: 3, has_next_token: true, text: "secret" }],
  };
  await start("", { slots: async (model) => [{ instance: `${model}@cpu`, slot }] });
  const answer = await get("/slots?model=river");
  expect(await answer.json()).toEqual([
    {
      ...{ id: 0, id_task: 5, n_ctx: 1024, is_processing: true, n_prompt_tokens: 7, instance: "river@cpu" },
      next_token: [{ n_decoded: 3, has_next_token: true }],
    },
  ]);
  expect((await get("/slots?model=river&fail_on_no_slot=1")).status).toBe(503);
});

test("what would change a running engine for everybody is refused, with what to do instead", async () => {
  const { upstream } = await start("");
  for (const path of ["/props", "/lora-adapters", "/slots/0?action=erase"]) {
    const refused = await post(path, {});
    expect(refused.status).toBe(400);
    expect(await refused.json()).toMatchObject({
      error: { code: 400, type: "not_supported_error", remedy: expect.any(String) },
    });
  }
  expect(upstream.requests).toEqual([]);
});

test("a model of another kind says what it is", async () => {
  await start("", { models: [chatModel, embeddingModel, testModel({ name: "voice", kind: "speech" })] });
  const refused = await post("/tokenize", { model: "voice", content: "Hi" });
  expect(await refused.json()).toMatchObject({
    error: { code: 400, message: expect.stringMatching(/"voice" is a speech model and does not tokenize/) },
  });
});

test("a path that is none, and a page that may not ask, are refused in the door's own shape", async () => {
  await start("");
  const unknown = await post("/slots/0/nope", {});
  expect(unknown.status).toBe(404);
  expect(await unknown.json()).toMatchObject({ error: { code: 404, type: "not_found_error" } });
  const foreign = await get("/slots", { origin: "https://elsewhere.example" });
  expect(foreign.status).toBe(403);
  expect(await foreign.json()).toMatchObject({ error: { code: 403, type: "permission_error" } });
});
