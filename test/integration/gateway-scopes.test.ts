import { createHash } from "node:crypto";
import { expect, test } from "vitest";
import type { ApiKey } from "../../src/core/config.ts";
import type { PipelineSpec } from "../../src/core/pipeline.ts";
import { Pipelines } from "../../src/pipelines/pipelines.ts";
import { testModel } from "../support/fake-engine.ts";
import { chatBody, chatModel, embeddingModel, startGateway, type TestGateway } from "../support/gateway.ts";
import { jsonAnswer } from "../support/scripted-upstream.ts";

const key = (name: string, more: Partial<ApiKey> = {}): ApiKey => ({
  name,
  sha256: createHash("sha256").update(name).digest("hex"),
  ...more,
});

async function start(...keys: ApiKey[]): Promise<TestGateway> {
  const gateway = await startGateway((socket) => socket.end(jsonAnswer('{"n":1}')), {
    models: [chatModel, embeddingModel, testModel({ name: "secret", aliases: ["hidden"] })],
  });
  gateway.settings.apiKeys = keys;
  return gateway;
}

interface Told {
  readonly status: number;
  readonly code: string | null;
  readonly body: Record<string, unknown>;
}

/** `name`: of the key, which is its own secret here. */
async function get(url: string, path: string, name: string, body?: object): Promise<Told> {
  const headers = { authorization: `Bearer ${name}`, "content-type": "application/json" };
  const answer = await fetch(
    `${url}${path}`,
    body === undefined ? { headers } : { method: "POST", headers, body: JSON.stringify(body) },
  );
  const text = await answer.text();
  const told = text.startsWith("{") ? (JSON.parse(text) as Record<string, unknown>) : {};
  return { status: answer.status, code: (told["error"] as { code?: string } | undefined)?.code ?? null, body: told };
}

const routes = {
  inference: ["/v1/models", "/v1/info", "/models/river"],
  metrics: ["/metrics", "/metrics/", "/%6Detrics", "/metrics?x=1"],
  admin: ["/admin/status", "/admin/usage", "/admin/nodes"],
} as const;

test.each(["inference", "metrics", "admin"] as const)(
  "a key with the scope %s opens its own routes alone",
  async (scope) => {
    const { url } = await start(key("anna", { scopes: [scope] }));
    for (const [needed, paths] of Object.entries(routes)) {
      for (const path of paths) {
        const { status, code } = await get(url, path, "anna");
        expect([path, status, code]).toEqual(needed === scope ? [path, 200, null] : [path, 403, "insufficient_scope"]);
      }
    }
    const chat = await get(url, "/v1/chat/completions", "anna", chatBody());
    expect(chat.status).toBe(scope === "inference" ? 200 : 403);
  },
);

test("a key may have several scopes, and without any written it uses models", async () => {
  const { url } = await start(key("anna"), key("ben", { scopes: ["inference", "metrics"] }));
  const statuses = async (name: string): Promise<number[]> =>
    Promise.all(["/v1/models", "/metrics", "/admin/status"].map(async (path) => (await get(url, path, name)).status));
  expect([await statuses("anna"), await statuses("ben")]).toEqual([
    [200, 403, 403],
    [200, 200, 403],
  ]);
});

test("an admin's action over the network is done, another key's is not", async () => {
  const { url, control } = await start(key("anna"), key("root", { scopes: ["admin"] }));
  expect((await get(url, "/admin/models/river", "anna", { action: "load" })).code).toBe("insufficient_scope");
  expect((await get(url, "/admin/models/river", "root", { action: "load" })).status).toBe(202);
  expect(control.calls).toEqual([["modelAct", "river", "load"]]);
});

test("without keys the metrics can be read, and the admin API is not on the network", async () => {
  const { url } = await start();
  expect((await get(url, "/metrics", "")).status).toBe(200);
  expect(await get(url, "/admin/status", "")).toMatchObject({ status: 404, code: "route_not_found" });
});

test("a refusal says which key, what it lacks and where to write it, in the shape of all errors", async () => {
  const { url } = await start(key("anna"));
  const { body } = await get(url, "/metrics", "anna");
  expect(body["error"]).toMatchObject({
    type: "permission_error",
    code: "insufficient_scope",
    message: 'The API key "anna" may not read metrics.',
    remedy: expect.stringContaining('"metrics"'),
  });
});

test("a key with models uses and sees these alone, by name and by alias", async () => {
  const { url, dispatcher } = await start(key("anna", { models: ["stream-chat"] }));
  const ids = ((await get(url, "/v1/models", "anna")).body["data"] as { id: string }[]).map(({ id }) => id);
  expect(ids).toEqual(["river"]);
  expect(JSON.stringify((await get(url, "/v1/info", "anna")).body)).not.toMatch(/secret|vectors/);
  for (const model of ["river", "stream-chat"])
    expect((await get(url, "/v1/chat/completions", "anna", chatBody({ model }))).status).toBe(200);
  for (const model of ["secret", "hidden"]) {
    expect((await get(url, "/v1/chat/completions", "anna", chatBody({ model }))).code).toBe("insufficient_scope");
    expect((await get(url, `/v1/models/${model}`, "anna")).code).toBe("insufficient_scope");
  }
  expect((await get(url, "/v1/embeddings", "anna", { model: "vectors", input: "x" })).code).toBe("insufficient_scope");
  // Nearest names are those of the models it may use.
  expect(
    JSON.stringify((await get(url, "/v1/chat/completions", "anna", chatBody({ model: "secre" }))).body),
  ).not.toContain('"secret');
  // Without a name, what it may use is what there is.
  expect((await get(url, "/v1/chat/completions", "anna", chatBody({ model: undefined }))).status).toBe(200);
  expect(new Set(dispatcher.asked.map(({ model }) => model))).toEqual(new Set(["river"]));
});

test("a change of a key's rights holds with the next request on the same connection", async () => {
  const { url, settings } = await start(key("anna", { models: ["secret"] }));
  expect((await get(url, "/v1/chat/completions", "anna", chatBody())).code).toBe("insufficient_scope");
  settings.apiKeys = [key("anna", { models: ["river"] })];
  expect((await get(url, "/v1/chat/completions", "anna", chatBody())).status).toBe(200);
});

test("a key limited to models sees and reaches the pipelines among them", async () => {
  const nothing = (): Promise<never> => Promise.reject(new Error("nothing is asked here"));
  const pipelines = new Pipelines({
    ...{ inference: { run: nothing }, decode: () => ({}) as never, variable: () => undefined },
    ...{ conversations: { continued: nothing, add: nothing }, log: { info: () => {}, warn: () => {} } },
  });
  const spec = (name: string): PipelineSpec => ({
    ...{ name, description: "", isDefault: false, queueLength: 1, maxConcurrency: 1, source: null, awake: {} },
    stages: [{ use: "splitter", name: "splitter", section: "splitter", toClient: true, settings: {} }],
    file: `${name}.toml`,
  });
  await pipelines.configure([spec("open"), spec("closed")]);
  const { url, settings } = await startGateway(() => {}, { pipelines });
  settings.apiKeys = [key("anna", { models: ["open"] })];
  const { body } = await get(url, "/pipelines", "anna");
  expect((body["pipelines"] as { name: string }[]).map(({ name }) => name)).toEqual(["open"]);
  for (const path of ["schema", "heartbeat", "startup"])
    expect((await get(url, `/pipelines/open/${path}`, "anna")).status).toBe(200);
  const query = "user=anna&conversation_id=c-1";
  for (const path of ["schema", "heartbeat", "startup", "gpttest/hi", `messages?${query}`, `conversations?${query}`])
    expect((await get(url, `/pipelines/closed/${path}`, "anna")).code).toBe("insufficient_scope");
});
