import { createHash } from "node:crypto";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Hub, startHub } from "../fakes/hub.ts";
import { startProvider, WHOLE } from "../fakes/provider.ts";
import { eventually } from "../support/assistant.ts";
import { type FakeInstallation, installFakes } from "../support/fake-installation.ts";
import { emptyGguf } from "../support/gguf-writer.ts";
import { ggufLike } from "../support/store.ts";

let hub: Hub;
let assistant: FakeInstallation;
let url: string;

const sha256 = (text: string | Buffer): string => createHash("sha256").update(text).digest("hex");
const keys = `api_key_sha256 = [
  { name = "boss", sha256 = "${sha256("boss")}", scopes = ["inference", "admin"] },
  { name = "reader", sha256 = "${sha256("reader")}" },
  { name = "vectors", sha256 = "${sha256("vectors")}", models = ["vectors"] },
]`;
const PRESETS = `models:
  - {name: tiny, huggingface_repo: ORG/tiny-GGUF, filename: tiny-Q4_K_M.gguf, size_b: 0.1, provider_config: {context_window: 1024}}
  - {name: slow, huggingface_repo: ORG/slow-GGUF, filename: slow.gguf, size_b: 0.1}
  - {name: lost, huggingface_repo: ORG/lost-GGUF, filename: lost.gguf, size_b: 900}
  - {name: broken, huggingface_repo: nothing, size_b: 1}
`;

beforeAll(async () => {
  hub = await startHub();
  const sizes = { size: emptyGguf.length, lfs: { size: emptyGguf.length, sha256: sha256(emptyGguf) } };
  hub.set("/api/models/ORG/tiny-GGUF/revision/main", {
    body: Buffer.from(JSON.stringify({ siblings: [{ rfilename: "tiny-Q4_K_M.gguf", ...sizes }] })),
  });
  hub.set("/ORG/tiny-GGUF/resolve/main/tiny-Q4_K_M.gguf", { body: emptyGguf });
  assistant = await installFakes({
    config: keys,
    models: { river: {}, vectors: { kind: "embedding" } },
    env: { HF_ENDPOINT: hub.url },
  });
  await mkdir(join(assistant.root, "presets"));
  await writeFile(join(assistant.root, "presets/local.yaml"), PRESETS);
  url = await assistant.serve();
});
afterAll(async () => {
  await assistant?.[Symbol.asyncDispose]();
  await hub?.[Symbol.asyncDispose]();
});

interface Told {
  readonly status: number;
  readonly body: Record<string, unknown>;
}

async function call(method: string, path: string, body?: object, key = "boss"): Promise<Told> {
  const answer = await fetch(`${url}/api/v1${path}`, {
    method,
    headers: { authorization: `Bearer ${key}`, ...(body === undefined ? {} : { "content-type": "application/json" }) },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  const text = await answer.text();
  return { status: answer.status, body: text === "" ? {} : (JSON.parse(text) as Record<string, unknown>) };
}

describe("models", () => {
  it("are listed with what they can do", async () => {
    const { status, body } = await call("GET", "/models", undefined, "reader");
    expect(status).toBe(200);
    expect(body).toMatchObject({
      total: 2,
      models: [
        {
          name: "river",
          provider: "local",
          context_window: 2048,
          supports_streaming: true,
          supports_structured_output: true,
          loaded: false,
        },
        { name: "vectors", provider: "embedding", supports_streaming: false, supports_structured_output: false },
      ],
    });
    expect((await call("GET", "/models/river")).body).toMatchObject({ name: "river", max_output_tokens: 2048 });
  });

  it("are loaded and unloaded, named in the query or in the body", async () => {
    const loaded = await call("POST", "/models/load?model_name=river");
    expect(loaded).toMatchObject({ status: 200, body: { model_name: "river", loaded: true, vram_used_mb: 0 } });
    expect(loaded.body["load_time_ms"]).toEqual(expect.any(Number));
    expect((await call("GET", "/models/river")).body).toMatchObject({ loaded: true });
    expect(await call("POST", "/models/unload", { model_name: "river" })).toEqual({
      status: 200,
      body: { model_name: "river", unloaded: true, vram_freed_mb: 0 },
    });
    expect((await call("GET", "/models/river")).body).toMatchObject({ loaded: false });
  });

  it("that are registered from a file serve, survive a restart, and are deleted", async () => {
    const path = assistant.weights("river");
    const order = { name: "brook", provider: "local", config: { model_path: path, context_window: 1024 } };
    expect(await call("POST", "/models/register", order)).toMatchObject({
      status: 201,
      body: { name: "brook", provider: "local", context_window: 1024, loaded: false },
    });
    expect(await call("POST", "/models/register", order)).toMatchObject({
      status: 409,
      body: { error: "model_exists" },
    });
    expect((await call("POST", "/models/load?model_name=brook")).status).toBe(200);
    expect(await readFile(join(assistant.modelDir, "brook.toml"), "utf8")).toContain("ctx_size = 1024");

    await assistant.stop();
    url = await assistant.serve();
    expect((await call("GET", "/models/brook")).status).toBe(200);
    expect((await call("POST", "/models/load?model_name=brook")).status).toBe(200);

    expect((await call("DELETE", "/models/brook?cleanup=perhaps")).status).toBe(400);
    expect(await call("DELETE", "/models/brook?cleanup=true")).toEqual({ status: 204, body: {} });
    expect((await call("GET", "/models/brook")).status).toBe(404);
    expect((await call("DELETE", "/models/brook")).status).toBe(404);
    await eventually("its engine is gone", async () => {
      const { instances } = await assistant.state();
      return instances.every(({ model, state }) => model !== "brook" || state === "absent");
    });
  });
});

describe("presets", () => {
  it("are listed with the memory they need", async () => {
    const { body } = await call("GET", "/models/presets", undefined, "reader");
    const local = body["local_models"] as { name: string }[];
    expect(body).toMatchObject({ total_local: local.length, total_cloud: expect.any(Number) });
    expect(local.find(({ name }) => name === "tiny")).toEqual({
      name: "tiny",
      huggingface_repo: "ORG/tiny-GGUF",
      filename: "tiny-Q4_K_M.gguf",
      size_b: 0.1,
      context_window: 1024,
      vram_requirements: { q4_k_m: 58, q5_k_m: 70, q8_0: 105, fp16: 235 },
      context_length: null,
      licence: null,
    });
    expect(local.some(({ name }) => name === "broken")).toBe(false);
  });

  it("that are wrong are told of in the status", async () => {
    const notices = (await assistant.state()).notices;
    expect(notices.map(({ message }) => message).join()).toContain("this preset is left out");
  });

  it("are checked against the GPUs", async () => {
    expect(
      await call("POST", "/models/check-compatibility", { preset_name: "tiny", quantization: "q8_0" }),
    ).toMatchObject({
      status: 200,
      body: { compatible: false, required_vram_mb: 105, available_vram_mb: 0, recommended_quantization: null },
    });
    for (const preset_name of ["none", "gpt-5.4", "bge-m3"])
      expect((await call("POST", "/models/check-compatibility", { preset_name })).status).toBe(404);
  });

  it("are downloaded, registered and served", async () => {
    expect((await call("GET", "/models/download-status/tiny")).body).toEqual({
      preset_name: "tiny",
      exists_locally: false,
      local_path: null,
      file_size_mb: null,
      available_on_hf: true,
      download: null,
    });
    expect(
      (await call("POST", "/models/register-from-preset", { preset_name: "tiny", auto_download: false })).status,
    ).toBe(400);
    expect(await call("POST", "/models/register-from-preset", { preset_name: "tiny" })).toMatchObject({
      status: 201,
      body: {
        name: "tiny",
        context_window: 1024,
        extra: { compatibility_warning: expect.stringContaining("No GPU was found") },
      },
    });
    expect((await call("GET", "/models/download-status/tiny")).body).toMatchObject({
      exists_locally: true,
      local_path: join(assistant.root, "data/models/tiny.gguf"),
    });
    expect(await call("GET", "/models/download-status/tiny", undefined, "vectors")).toMatchObject({
      status: 404,
      body: { error: "model_not_found" },
    });
    expect((await call("POST", "/models/load?model_name=tiny")).status).toBe(200);
    expect((await call("POST", "/models/register-from-preset", { preset_name: "tiny" })).status).toBe(409);
  });

  it("are pulled by name through the admin API too", async () => {
    const answer = await fetch(`${url}/admin/pulls`, {
      method: "POST",
      headers: { authorization: "Bearer boss", "content-type": "application/json" },
      body: JSON.stringify({ reference: "tiny", name: "copy", configure: false, stream: true }),
    });
    const lines = (await answer.text()).trim().split("\n");
    expect(JSON.parse(lines.at(-1) ?? "")).toMatchObject({
      state: "done",
      result: { name: "copy", reference: "hf:ORG/tiny-GGUF/tiny-Q4_K_M.gguf" },
    });
  });

  it("say how far their download is", async () => {
    const total = 200_000;
    const weights = ggufLike(total);
    const file = { rfilename: "slow.gguf", lfs: { size: total, sha256: sha256(weights) } };
    hub.set("/api/models/ORG/slow-GGUF/revision/main", { body: Buffer.from(JSON.stringify({ siblings: [file] })) });
    hub.set("/ORG/slow-GGUF/resolve/main/slow.gguf", { body: weights, pieceMs: 100 });
    const registering = call("POST", "/models/register-from-preset", { preset_name: "slow" });
    const status = await eventually("it has begun", async () => {
      const { body } = await call("GET", "/models/download-status/slow");
      const download = body["download"] as { bytes: number } | null;
      return download !== null && download.bytes > 0 && body;
    });
    expect(status).toMatchObject({ exists_locally: false, download: { state: "running", total_bytes: total } });
    expect((await registering).status).toBe(201);
    expect((await call("GET", "/models/download-status/slow")).body).toMatchObject({
      exists_locally: true,
      download: null,
    });
  });

  it("that cannot be had are refused", async () => {
    expect(await call("POST", "/models/register-from-preset", { preset_name: "lost" })).toMatchObject({ status: 400 });
    expect(await call("GET", "/models/download-status/lost")).toMatchObject({ body: { available_on_hf: false } });
    expect((await call("POST", "/models/register-from-preset", { preset_name: "nobody" })).status).toBe(404);
    expect((await call("GET", "/models/download-status/nobody")).status).toBe(404);
    expect(await call("POST", "/models/register-from-preset", { preset_name: "gpt-5.4" })).toMatchObject({
      status: 400,
    });
  });
});

describe("a model of a service", () => {
  it("is registered with its key and answers, is never loaded, and is deleted", async () => {
    await using service = await startProvider();
    const config = { model_name: "large", api_key: "sk-secret", base_url: service.url };
    expect(
      await call("POST", "/models/register", { name: "far", provider: "openai_compatible", config }),
    ).toMatchObject({
      status: 201,
      body: { name: "far", provider: "openai_compatible", loaded: true, context_window: null },
    });
    const answer = await eventually("the service is known to be there", async () => {
      const tried = await fetch(`${url}/v1/chat/completions`, {
        method: "POST",
        headers: { authorization: "Bearer reader", "content-type": "application/json" },
        body: JSON.stringify({ model: "far", messages: [{ role: "user", content: "Name a river." }] }),
      });
      return tried.status === 200 && tried;
    });
    expect(await answer.json()).toEqual(WHOLE);
    expect(service.calls.at(-1)).toMatchObject({ headers: { authorization: "Bearer sk-secret" } });
    expect((await call("POST", "/models/load?model_name=far")).status).toBe(400);
    expect(JSON.stringify((await call("GET", "/models/far")).body)).not.toContain("sk-secret");
    expect((await call("DELETE", "/models/far")).status).toBe(204);
  });
});

describe("embeddings", () => {
  it("are unit vectors of each text", async () => {
    const { status, body } = await call(
      "POST",
      "/embeddings",
      { texts: ["one", "two"], model_name: "vectors" },
      "reader",
    );
    const vectors = body["embeddings"] as number[][];
    expect([status, body["model"], body["dimensions"]]).toEqual([200, "vectors", vectors[0]?.length]);
    expect(vectors).toHaveLength(2);
    for (const vector of vectors) expect(Math.hypot(...vector)).toBeCloseTo(1, 6);
  });

  it("of equal texts are alike", async () => {
    const long = "x".repeat(120);
    expect(await call("POST", "/embeddings/similarity", { text1: long, text2: long, model_name: "vectors" })).toEqual({
      status: 200,
      body: {
        similarity: 1,
        model: "vectors",
        text1_preview: `${"x".repeat(100)}...`,
        text2_preview: `${"x".repeat(100)}...`,
      },
    });
  });

  it("come from the only model that makes them where none is named", async () => {
    const { body } = await call("POST", "/embeddings", { texts: ["one"] });
    expect(body["model"]).toBe("vectors");
  });

  it("are refused for what has none", async () => {
    expect(await call("POST", "/embeddings", { texts: ["a"], model_name: "none" })).toMatchObject({ status: 404 });
    expect(await call("POST", "/embeddings", { texts: ["a"], model_name: "river" })).toMatchObject({
      status: 400,
      body: { error: "wrong_model_kind" },
    });
    for (const texts of [[], Array.from({ length: 101 }, () => "a"), "a", [""], [7]])
      expect((await call("POST", "/embeddings", { texts, model_name: "vectors" })).status, String(texts)).toBe(400);
  });
});

describe("mistakes", () => {
  it.each([
    ["POST", "/models/register", { name: "../x", provider: "local", config: {} }, 400, "name"],
    ["POST", "/models/register", { name: ".x", provider: "local", config: {} }, 400, "name"],
    ["POST", "/models/register", { name: "x", provider: "nobody", config: {} }, 400, "provider"],
    ["POST", "/models/register", { name: "x", provider: "custom", config: {} }, 400, "provider"],
    [
      "POST",
      "/models/register",
      { name: "x", provider: "openai", config: { model_name: "gpt" } },
      400,
      "config.api_key",
    ],
    ["POST", "/models/register", { name: "x", provider: "openai", config: { api_key: "k" } }, 400, "config.model_name"],
    [
      "POST",
      "/models/register",
      { name: "x", provider: "litellm", config: { model_name: "m" } },
      400,
      "config.base_url",
    ],
    ["POST", "/models/register", { name: "x", provider: "local" }, 400, null],
    [
      "POST",
      "/models/register",
      { name: "x", provider: "local", config: { model_path: "/none" } },
      400,
      "config.model_path",
    ],
    ["POST", "/models/register", { name: "x", provider: "local", config: { warp: 1 } }, 400, "config.warp"],
    [
      "POST",
      "/models/register",
      { name: "x", provider: "local", config: { context_window: "4096" } },
      400,
      "config.context_window",
    ],
    ["POST", "/models/load", {}, 400, "model_name"],
    ["POST", "/models/load?model_name=none", undefined, 404, "model"],
    ["GET", "/models/none", undefined, 404, "model"],
  ] as const)("%s %s %j is %i", async (method, path, body, status, param) => {
    const answer = await call(method, path, body);
    expect(answer).toMatchObject({
      status,
      body: {
        // What a command would call a wrong argument is a field here.
        error: status === 400 ? "invalid_request" : expect.any(String),
        message: expect.any(String),
        trace_id: expect.any(String),
      },
    });
    if (param !== null) expect(answer.body["details"]).toMatchObject({ param });
  });

  it("are no key, and a key that may not manage models", async () => {
    expect(await call("GET", "/models", undefined, "nobody")).toMatchObject({
      status: 401,
      body: { error: "invalid_api_key" },
    });
    for (const [method, path] of [
      ["POST", "/models/register"],
      ["POST", "/models/load?model_name=river"],
      ["DELETE", "/models/river"],
    ] as const)
      expect(await call(method, path, undefined, "reader")).toMatchObject({
        status: 403,
        body: { error: "insufficient_scope" },
      });
  });
});
