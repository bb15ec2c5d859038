import { mkdtemp, rm } from "node:fs/promises";
import { request } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import OpenAI, { toFile } from "openai";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Files } from "../../src/gateway/doors/openai/files/stored.ts";
import { SqliteStore } from "../../src/store/sqlite/store.ts";
import { eventually } from "../support/assistant.ts";
import { type TestGateway, testGateway } from "../support/gateway.ts";
import { schemaErrors } from "../support/openai-schema.ts";
import { sha256 } from "../support/store.ts";

const LIMIT_BYTES = 64 * 1024;

describe("files through the official client", () => {
  let directory: string;
  let store: SqliteStore;
  let gateway: TestGateway;
  let kim: OpenAI;
  let lee: OpenAI;

  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), "assistant-files-"));
    store = new SqliteStore({ directory, report: () => {} });
    gateway = await testGateway(() => {}, { files: new Files(store, () => LIMIT_BYTES) });
    gateway.settings.apiKeys = ["kim", "lee"].map((name) => ({
      ...{ name, weight: 1 },
      sha256: sha256(Buffer.from(name)),
    }));
    const clientOf = (apiKey: string): OpenAI => new OpenAI({ baseURL: `${gateway.url}/v1`, apiKey, maxRetries: 0 });
    [kim, lee] = [clientOf("kim"), clientOf("lee")];
  });
  afterAll(async () => {
    await gateway?.[Symbol.asyncDispose]();
    await store?.close();
    await rm(directory, { recursive: true, force: true });
  });

  const upload = (text: string, name = "rivers.txt"): Promise<OpenAI.FileObject> =>
    toFile(Buffer.from(text), name).then((file) => kim.files.create({ file, purpose: "user_data" }));

  test("a file is uploaded, shown, downloaded and deleted", async () => {
    const made = await upload("Rhine, Elbe", "../flüsse.txt");
    expect(schemaErrors("OpenAIFile", made)).toEqual([]);
    expect(made).toMatchObject({ bytes: 11, filename: "flüsse.txt", purpose: "user_data" });
    expect(await kim.files.retrieve(made.id)).toMatchObject({ id: made.id });
    expect(await (await kim.files.content(made.id)).text()).toBe("Rhine, Elbe");
    expect(await kim.files.delete(made.id)).toEqual({ id: made.id, object: "file", deleted: true });
    await expect(kim.files.content(made.id)).rejects.toBeInstanceOf(OpenAI.NotFoundError);
  });

  test("a file is divided into chunks by its id, for its tenant alone", async () => {
    const { id } = await upload(" \n");
    const chunks = (key: string): Promise<Response> =>
      fetch(`${gateway.url}/v1/chunks`, {
        method: "POST",
        headers: { "content-type": "application/json", authorization: `Bearer ${key}` },
        body: JSON.stringify({ id }),
      });
    expect(await (await chunks("kim")).json()).toEqual({ id, filename: null, chunks: [] });
    expect((await chunks("lee")).status).toBe(400);
    await kim.files.delete(id);
  });

  test("files are listed page by page, for their tenant alone", async () => {
    const made = [await upload("a"), await upload("b"), await upload("c")];
    const found: string[] = [];
    for await (const file of kim.files.list({ limit: 2 })) found.push(file.id);
    expect(found).toEqual(made.map(({ id }) => id).reverse());
    expect((await kim.files.list({ purpose: "batch" })).data).toEqual([]);
    expect((await lee.files.list()).data).toEqual([]);
    await expect(lee.files.retrieve(made[0]?.id ?? "")).rejects.toBeInstanceOf(OpenAI.NotFoundError);
    await expect(lee.files.delete(made[0]?.id ?? "")).rejects.toBeInstanceOf(OpenAI.NotFoundError);
  });

  test("a file expires when it is to", async () => {
    const file = await toFile(Buffer.from("x"), "x.jsonl");
    const expires = { anchor: "created_at", seconds: 3600 } as const;
    const made = await kim.files.create({ file, purpose: "batch", expires_after: expires });
    expect((made.expires_at ?? 0) - made.created_at).toBe(3600);
    const soon = kim.files.create({ file, purpose: "batch", expires_after: { ...expires, seconds: 1 } });
    await expect(soon).rejects.toMatchObject({ status: 400, param: "expires_after[seconds]" });
  });

  test("a file over the limit is refused, and nothing of it kept", async () => {
    const before = (await kim.files.list()).data.length;
    expect((await upload("x".repeat(LIMIT_BYTES))).bytes).toBe(LIMIT_BYTES);
    await expect(upload("x".repeat(LIMIT_BYTES + 1))).rejects.toMatchObject({ status: 413, code: "body_too_large" });
    expect((await kim.files.list()).data).toHaveLength(before + 1);
  });

  test.each<[param: string | null, status: number, form: () => FormData | string]>([
    ["file", 400, () => formOf({ purpose: "batch" })],
    ["purpose", 400, () => formOf({ purpose: "fun", file: new File(["x"], "x.txt") })],
    ["color", 400, () => formOf({ color: "red", file: new File(["x"], "x.txt") })],
    ["image", 400, () => formOf({ image: new File(["x"], "x.txt") })],
    [null, 415, () => "plain"],
  ])("a form that is wrong in %s is a %i", async (param, status, form) => {
    const headers = { authorization: "Bearer kim" };
    const answer = await fetch(`${gateway.url}/v1/files`, { method: "POST", headers, body: form() });
    expect(answer.status).toBe(status);
    expect(await answer.json()).toMatchObject({ error: { param } });
  });

  test.each([
    ["no boundary", "multipart/form-data", "x"],
    ["no boundary but rubbish", "multipart/form-data; boundary=a", "garbage"],
    [
      "an end that is too early",
      "multipart/form-data; boundary=a",
      '--a\r\nContent-Disposition: form-data; name="file"; filename="x"\r\n\r\nx',
    ],
    ["a head that is none", "multipart/form-data; boundary=a", "--a\r\nx\r\n\r\nx\r\n--a--"],
  ])("a form with %s is a 400", async (_, type, body) => {
    const headers = { authorization: "Bearer kim", "content-type": type };
    const answer = await fetch(`${gateway.url}/v1/files`, { method: "POST", headers, body });
    expect([answer.status, await answer.json()]).toMatchObject([400, { error: { code: "invalid_request" } }]);
  });

  test("an upload with a content encoding is a 415, for it is stored as it comes", async () => {
    const headers = {
      authorization: "Bearer kim",
      "content-type": "multipart/form-data; boundary=a",
      "content-encoding": "gzip",
    };
    const body = gzipSync('--a\r\nContent-Disposition: form-data; name="file"; filename="x"\r\n\r\nx\r\n--a--\r\n');
    const answer = await fetch(`${gateway.url}/v1/files`, { method: "POST", headers, body });
    expect([answer.status, await answer.json()]).toMatchObject([415, { error: { param: "content-encoding" } }]);
  });

  test.each([
    [
      "/v1/files",
      "multipart/form-data; boundary=a",
      '--a\r\nContent-Disposition: form-data; name="file"; filename="x"\r\n\r\nx',
    ],
    ["/v1/chunks", "application/json", '{"text": '],
  ])("a client that leaves while it sends to %s is no fault of the daemon", async (path, type, body) => {
    gateway.lines.length = 0;
    const headers = { authorization: "Bearer kim", "content-type": type, "content-length": 1_000 };
    const sent = request(`${gateway.url}${path}`, { method: "POST", headers });
    sent.on("error", () => {});
    await new Promise<void>((resolve) => sent.write(body, () => resolve()));
    sent.destroy();
    await eventually("it is logged", () => gateway.lines.length > 0);
    expect(gateway.lines).toEqual([
      { id: expect.any(String), path, message: "the client disconnected while sending its request" },
    ]);
  });

  test("a file without purpose is LlamaEdge's, and has a path to download it", async () => {
    const headers = { authorization: "Bearer kim" };
    const body = formOf({ file: new File(["Rhine"], "r.txt") });
    const made = await (await fetch(`${gateway.url}/v1/files`, { method: "POST", headers, body })).json();
    expect(made).toMatchObject({ object: "file", purpose: "assistants" });
    const { id } = made as { readonly id: string };
    const answer = await fetch(`${gateway.url}/v1/files/download/${id}`, { headers });
    expect(answer.headers.get("content-disposition")).toContain("r.txt");
    expect(await answer.text()).toBe("Rhine");
  });
});

function formOf(fields: Readonly<Record<string, string | File>>): FormData {
  const form = new FormData();
  for (const [name, value] of Object.entries(fields)) form.append(name, value);
  return form;
}
