import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, expect, test } from "vitest";
import { eventually } from "../support/assistant.ts";
import { ask, type FakeInstallation, installFakes } from "../support/fake-installation.ts";
import { ggufPieces } from "../support/gguf-writer.ts";

let assistant: FakeInstallation;
afterEach(() => assistant[Symbol.asyncDispose]());

test("a model that is not configured is refused, or served by the default one, as the file says from one moment to the next", async () => {
  assistant = await installFakes({
    models: { brook: {}, river: { toml: 'aliases = ["default"]' }, vectors: { kind: "embedding" } },
  });
  const url = await assistant.serve();
  expect((await ask(url, "gpt-4o", "hello")).status).toBe(404);
  const file = assistant.env["ASSISTANT_CONFIG"] ?? "";
  await writeFile(file, `${await readFile(file, "utf8")}\n[gateway]\nunknown_model = "default"\n`);
  const answer = await eventually("it is served", async () => {
    const tried = await ask(url, "gpt-4o", "hello");
    return tried.status === 200 && tried;
  });
  expect(answer.headers.get("x-assistant-model")).toBe("river");
  expect((await ask(url, "brook", "hello")).headers.get("x-assistant-model")).toBe("brook");
  const body = JSON.stringify({ model: "text-embedding-3-small", input: "hello" });
  const headers = { "content-type": "application/json" };
  const embedded = await fetch(`${url}/v1/embeddings`, { method: "POST", headers, body });
  expect([embedded.status, embedded.headers.get("x-assistant-model")]).toEqual([200, "vectors"]);
});

test("the list of models has what llama-server's says of each, and aliases, on each of several addresses", async () => {
  assistant = await installFakes({ models: { river: { contextTokens: 1024, toml: 'aliases = ["stream"]' } } });
  const pieces = ggufPieces(
    new Map([
      ["general.architecture", { text: "llama" }],
      ["llama.context_length", { u32: 2048 }],
    ]),
    [{ name: "a", shape: [3, 4], data: new Uint8Array(48) }],
  );
  const bytes = Buffer.concat(pieces);
  await writeFile(assistant.weights("river"), bytes);
  const file = assistant.env["ASSISTANT_CONFIG"] ?? join(assistant.root, "config.toml");
  const one = 'http_addr = "127.0.0.1:0"';
  const several = 'http_addr = ["127.0.0.1:0", "127.0.0.1:18733"]';
  await writeFile(file, (await readFile(file, "utf8")).replace(one, several));
  const url = await assistant.serve();
  const list = await eventually("the header was read", async () => {
    const { data } = (await (await fetch(`${url}/v1/models`)).json()) as { data: { meta: object | null }[] };
    return data[0]?.meta !== null && data;
  });
  expect(list).toMatchObject([
    { id: "river", aliases: ["stream"], meta: { n_ctx: 1024, n_ctx_train: 2048, n_params: 12, size: bytes.length } },
  ]);
  for (const base of [url, "http://127.0.0.1:18733"])
    expect(((await (await fetch(`${base}/v1/models`)).json()) as { data: object[] }).data).toEqual(list);
});
