import { stat } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { adminRoutes } from "../../src/api/routes.ts";
import { steadyClock } from "../../src/core/clock.ts";
import { eventually } from "../support/assistant.ts";
import { callEngine, testModel } from "../support/fake-engine.ts";
import {
  chatBody,
  chatModel,
  embeddingModel,
  emptyStatus,
  startGateway,
  type TestGateway,
} from "../support/gateway.ts";
import { postBytes, rawClient } from "../support/raw-http.ts";
import { chatEvents, chunk, jsonAnswer, LAST_CHUNK, sseHead } from "../support/scripted-upstream.ts";

const json = { "content-type": "application/json" };
const streamAnswer = sseHead + chatEvents(["a", "b", "c"]).map(chunk).join("") + LAST_CHUNK;
const post = (
  url: string,
  body: object,
  headers: Record<string, string> = {},
  path = "/v1/chat/completions",
): Promise<Response> =>
  fetch(url + path, { method: "POST", headers: { ...json, ...headers }, body: JSON.stringify(body) });

describe("every answer", () => {
  test("says its id, model, instance and wait", async () => {
    const { url } = await startGateway((socket) => socket.end(jsonAnswer('{"n":1}')));
    const { headers } = await post(url, chatBody({ model: "stream-chat" }));
    expect(headers.get("x-request-id")).toMatch(/^req_[0-9a-f]{24}$/);
    expect([headers.get("x-assistant-model"), headers.get("x-assistant-instance")]).toEqual(["river", "stub@cpu"]);
    expect(headers.get("x-assistant-queue-ms")).toMatch(/^\d+$/);
  });

  test("keeps a sane id of the client's own and replaces any other", async () => {
    const { url } = await startGateway((socket) => socket.end(jsonAnswer('{"n":1}')));
    const idFor = async (given: string): Promise<string | null> =>
      (await post(url, chatBody(), { "x-request-id": given })).headers.get("x-request-id");
    expect(await idFor("trace-1.a:b")).toBe("trace-1.a:b");
    expect(await idFor('x" {"level":"fatal"}')).toMatch(/^req_/);
    expect(await idFor("x".repeat(129))).toMatch(/^req_/);
  });

  test("has an id of ours in the log, whatever ids clients choose", async () => {
    const { url, lines, dispatcher } = await startGateway((socket) => socket.end(jsonAnswer('{"n":1}')));
    dispatcher.hold();
    const same = [post(url, chatBody(), { "x-request-id": "same" }), post(url, chatBody(), { "x-request-id": "same" })];
    await eventually("both wait", () => dispatcher.asked.length === 2);
    dispatcher.release();
    for (const answer of await Promise.all(same))
      expect([answer.status, answer.headers.get("x-request-id")]).toEqual([200, "same"]);
    const ids = lines.filter((entry) => entry["clientId"] === "same").map((entry) => entry["id"]);
    expect(ids).toEqual(dispatcher.asked.map(({ id }) => id));
    expect(new Set(ids).size).toBe(2);
    expect(ids.join()).toMatch(/^req_[0-9a-f]{24},req_[0-9a-f]{24}$/);
  });

  test("has one log line that tells the rest", async () => {
    const { port, lines } = await startGateway((socket) => socket.end(streamAnswer));
    const client = await rawClient(port);
    client.send(postBytes("/v1/chat/completions", chatBody({ stream: true }), { headers: { "x-request-id": "mine" } }));
    await client.until(LAST_CHUNK);
    const line = await eventually("the log line", () => lines.find((entry) => entry["clientId"] === "mine"));
    expect(line).toMatchObject({
      model: "river",
      instance: "stub@cpu",
      tenant: "local",
      status: 200,
      stream: true,
      promptTokens: 12,
      cachedTokens: 5,
      completionTokens: 3,
      finish: "stop",
      end: "complete",
    });
    for (const field of ["queueMs", "ttftMs", "totalMs"]) expect(line[field]).toBeTypeOf("number");
    expect(JSON.stringify(lines)).not.toContain("three rivers");
  });
});

describe("the scheduler", () => {
  test("is told what it needs of a request", async () => {
    const { url, dispatcher } = await startGateway((socket) => socket.end(jsonAnswer('{"n":1}')), {
      fingerprint: ({ messages }, scope) => ({
        promptTokens: 77,
        prefix: [{ hash: `${scope}/${(messages as unknown[]).length}`, tokens: 77 }],
      }),
    });
    await post(url, chatBody({ max_tokens: 33 }), { "x-assistant-priority": "90", "x-assistant-timeout-ms": "60000" });
    const [facts] = dispatcher.asked;
    expect(facts).toMatchObject({
      model: "river",
      tenant: "local",
      priority: 90,
      promptTokens: 77,
      maxTokens: 33,
      prefix: [{ hash: "/1", tokens: 77 }],
    });
    expect((facts?.deadlineAt ?? 0) - steadyClock.now()).toBeGreaterThan(50_000);
  });

  test.each([
    [{ "x-request-timeout": "2.5" }, false, 2_500],
    [{ "x-request-timeout": "30", "x-assistant-timeout-ms": "1000" }, true, 1_000],
    [{ "x-stainless-timeout": "10" }, false, 11_000],
    [{ "x-stainless-timeout": "10" }, true, null],
    [{ "x-stainless-timeout": "NOT_GIVEN" }, false, null],
    [{ "x-stainless-timeout": "None" }, false, null],
  ])("is told the earliest deadline that %o states, streamed: %s", async (headers, stream, expectedMs) => {
    const { url, dispatcher } = await startGateway((socket) => socket.end(jsonAnswer('{"n":1}')));
    const before = steadyClock.now();
    await post(url, chatBody({ stream }), headers);
    const deadlineAt = dispatcher.asked[0]?.deadlineAt ?? null;
    if (expectedMs === null) expect(deadlineAt).toBeNull();
    else {
      expect(deadlineAt).toBeGreaterThanOrEqual(before + expectedMs);
      expect(deadlineAt).toBeLessThanOrEqual(steadyClock.now() + expectedMs);
    }
  });

  test("is told a usual length and no deadline where the client set none", async () => {
    const { url, dispatcher } = await startGateway((socket) => socket.end(jsonAnswer('{"n":1}')));
    await post(url, chatBody());
    expect(dispatcher.asked[0]).toMatchObject({ priority: 50, maxTokens: 256, deadlineAt: null });
  });
});

describe("a request without a model", () => {
  const noModel = { messages: [{ role: "user", content: "x" }] };
  const second = testModel({ name: "brook" });
  const served = async (models: Parameters<typeof startGateway>[1]): Promise<string | null> => {
    const { url } = await startGateway((socket) => socket.end(jsonAnswer('{"n":1}')), models);
    return (await post(url, noModel)).headers.get("x-assistant-model");
  };

  test("goes to the only one of its kind", async () => {
    expect(await served({ models: [chatModel, embeddingModel] })).toBe("river");
  });
  test("goes to the one called default", async () => {
    expect(await served({ models: [chatModel, { ...second, aliases: ["default"] }] })).toBe("brook");
  });
  test("is refused where the choice is open, with the choices", async () => {
    const { url } = await startGateway(() => {}, { models: [chatModel, second] });
    const answer = await post(url, noModel);
    expect([answer.status, await answer.text()]).toEqual([400, expect.stringContaining('\\"river\\", \\"brook\\"')]);
  });
});

test("usage is added to streams of a model that always tells it", async () => {
  const { port, upstream } = await startGateway((socket) => socket.end(streamAnswer), {
    models: [{ ...chatModel, includeUsage: true }],
  });
  const client = await rawClient(port);
  client.send(postBytes("/v1/chat/completions", chatBody({ stream: true })));
  await client.until(LAST_CHUNK);
  expect(JSON.parse(upstream.requests[0]?.body ?? "")).toEqual({
    ...chatBody({ stream: true }),
    stream_options: { include_usage: true },
  });
});

test.each(["/chat/completions", "/v1/chat/completions/", "/v1/chat/completions?api-version=1"])(
  "%s is understood",
  async (path) => {
    const { url, upstream } = await startGateway((socket) => socket.end(jsonAnswer('{"n":1}')));
    expect((await post(url, chatBody(), {}, path)).status).toBe(200);
    expect(upstream.requests[0]?.head).toMatch(/^POST \/v1\/chat\/completions HTTP\/1\.1\r\n/);
  },
);

describe("answers from memory", () => {
  const get = async (path: string, gateway?: TestGateway): Promise<{ status: number; json: unknown }> => {
    const { url } = gateway ?? (await startGateway(() => {}));
    const answer = await fetch(url + path);
    return { status: answer.status, json: await answer.json() };
  };

  test.each(["/v1/models", "/models"])("%s lists what is configured", async (path) => {
    const entry = (id: string, kind: string, aliases: string[], operations: string[]): object => ({
      id,
      object: "model",
      created: 1_700_000_000,
      owned_by: "assistant",
      kind,
      aliases,
      context_length: 4096,
      capabilities: { type: kind, ...Object.fromEntries(operations.map((name) => [name, true])) },
      meta: null,
    });
    expect((await get(path)).json).toEqual({
      object: "list",
      data: [
        entry("river", "chat", ["stream-chat"], ["chat", "completion"]),
        entry("vectors", "embedding", [], ["embedding"]),
      ],
    });
  });

  test.each(["river", "stream-chat"])("/v1/models/%s is found by name and by alias", async (name) => {
    expect((await get(`/v1/models/${name}`)).json).toMatchObject({ id: "river" });
  });

  test("names with a slash are found, escaped or not", async () => {
    const gateway = await startGateway(() => {}, { models: [testModel({ name: "org/model" })] });
    expect((await get("/v1/models/org/model", gateway)).json).toMatchObject({ id: "org/model" });
    expect((await get("/v1/models/org%2Fmodel", gateway)).json).toMatchObject({ id: "org/model" });
  });

  test("an unknown one is a 404 with the nearest", async () => {
    expect(await get("/v1/models/rivers")).toMatchObject({
      status: 404,
      json: { error: { code: "model_not_found", message: expect.stringContaining('"river"') } },
    });
  });

  test("/v1/info describes the server and its models", async () => {
    const gateway = await startGateway(() => {});
    expect((await get("/v1/info", gateway)).json).toMatchObject({
      api_server: { type: "assistant", version: "1.2.3", port: String(gateway.port) },
      chat_model: { name: "river", type: "chat", ctx_size: 4096 },
      embedding_model: { name: "vectors" },
      extras: {},
    });
  });

  test("/health and HEAD", async () => {
    const gateway = await startGateway(() => {});
    expect(await get("/health", gateway)).toEqual({ status: 200, json: { status: "ok" } });
    const head = await fetch(`${gateway.url}/v1/models`, { method: "HEAD" });
    expect([head.status, await head.text()]).toEqual([200, ""]);
  });
});

test("a listener for some models serves those, whatever is asked for", async () => {
  const { gateway, dispatcher } = await startGateway((socket) => socket.end(jsonAnswer('{"n":1}')), {
    models: [chatModel, testModel({ name: "brook" })],
    onlyModels: ["brook"],
  });
  const url = await gateway.listen({ host: "127.0.0.1", port: 0 });
  await post(url, chatBody({ model: "river" }));
  await post(url, chatBody({ model: "no such model" }));
  expect(dispatcher.asked.map((facts) => facts.model)).toEqual(["brook", "brook"]);
  expect(
    ((await (await fetch(`${url}/v1/models`)).json()) as { data: { id: string }[] }).data.map(({ id }) => id),
  ).toEqual(["brook"]);
});

describe("the admin API", () => {
  test("answers on the Unix socket, which is the owner's alone", async () => {
    const { adminSocket } = await startGateway(() => {});
    expect((await stat(adminSocket)).mode & 0o777).toBe(0o600);
    expect(JSON.parse((await callEngine(adminSocket, adminRoutes.status)).text)).toEqual(emptyStatus);
  });

  test("passes actions on", async () => {
    const { adminSocket, control } = await startGateway(() => {});
    expect((await callEngine(adminSocket, adminRoutes.instance("river@cpu"), { action: "restart" })).status).toBe(202);
    expect((await callEngine(adminSocket, adminRoutes.model("org/model"), { action: "unload" })).status).toBe(202);
    expect((await callEngine(adminSocket, adminRoutes.shutdown, { now: true })).status).toBe(202);
    expect(control.calls).toEqual([
      ["act", "river@cpu", "restart"],
      ["modelAct", "org/model", "unload"],
      ["shutdown", { now: true }],
    ]);
    expect(JSON.parse((await callEngine(adminSocket, adminRoutes.reload, {})).text)).toEqual({ changed: ["river"] });
  });

  test("refuses what it does not know", async () => {
    const { adminSocket, control } = await startGateway(() => {});
    const codes = [];
    for (const [path, body] of [
      [adminRoutes.instance("nobody"), { action: "stop" }],
      [adminRoutes.instance("river@cpu"), { action: "explode" }],
      ["/admin/nothing", undefined],
      [adminRoutes.reload, undefined],
    ] as const) {
      const { status, text } = await callEngine(adminSocket, path, body);
      codes.push([status, (JSON.parse(text) as { error: { code: string } }).error.code]);
    }
    expect(codes).toEqual([
      [404, "instance_not_found"],
      [400, "invalid_request"],
      [404, "route_not_found"],
      [405, "method_not_allowed"],
    ]);
    expect(control.calls).toEqual([]);
  });

  test("a full status fits its schema, field by field", async () => {
    const { adminSocket, control } = await startGateway(() => {});
    const full = {
      ...emptyStatus,
      url: "http://127.0.0.1:1",
      notices: [{ severity: "warning", file: "/a", line: 3, key: null, message: "m" }],
      hints: ["build the engine"],
    };
    control.status = async () => full;
    expect(JSON.parse((await callEngine(adminSocket, adminRoutes.status)).text)).toEqual(full);
  });
});

describe("closing", () => {
  test("lets the running stream end and takes no more", async () => {
    let go: () => void = () => {};
    const { gateway, port, url } = await startGateway((socket) => {
      socket.write(streamAnswer.slice(0, -20));
      go = () => void socket.end(streamAnswer.slice(-20));
    });
    const client = await rawClient(port);
    client.send(postBytes("/v1/chat/completions", chatBody({ stream: true })));
    await client.until('"content":"c"');
    const closed = gateway.close();
    await eventually("no new connection is taken", () =>
      fetch(`${url}/health`).then(
        () => false,
        () => true,
      ),
    );
    go();
    await client.until(LAST_CHUNK);
    await closed;
  });

  test("in a hurry ends it", async () => {
    const { gateway, port, dispatcher } = await startGateway((socket) => void socket.write(streamAnswer.slice(0, -20)));
    const client = await rawClient(port);
    client.send(postBytes("/v1/chat/completions", chatBody({ stream: true })));
    await client.until('"content":"c"');
    const patient = gateway.close();
    await gateway.close({ now: true });
    await patient;
    await client.untilClosed();
    expect(dispatcher.granted[0]?.disposed).toBe(true);
  });
});

test("an address that is taken, and a path that cannot be written, are said", async () => {
  const { gateway, port, directory } = await startGateway(() => {});
  await expect(gateway.listen({ host: "127.0.0.1", port })).rejects.toMatchObject({
    code: "address_in_use",
    message: expect.stringContaining(String(port)),
  });
  await expect(gateway.listen({ path: join(directory, "no", "such.sock") })).rejects.toMatchObject({
    code: "not_writable",
  });
});
