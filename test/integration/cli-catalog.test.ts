import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { type Hub, startHub } from "../fakes/hub.ts";
import { installAssistant, type TestAssistant } from "../support/assistant.ts";
import { emptyGguf } from "../support/gguf-writer.ts";

let hub: Hub;
let assistant: TestAssistant;

beforeAll(async () => {
  hub = await startHub();
  const digest = createHash("sha256").update(emptyGguf).digest("hex");
  const file = { rfilename: "tiny-Q4_K_M.gguf", lfs: { size: emptyGguf.length, sha256: digest } };
  hub.set("/api/models/ORG/tiny-GGUF/revision/main", { body: Buffer.from(JSON.stringify({ siblings: [file] })) });
  hub.set("/ORG/tiny-GGUF/resolve/main/tiny-Q4_K_M.gguf", { body: emptyGguf });
  hub.set("/api/models", {
    body: Buffer.from(JSON.stringify([{ id: "ORG/found-GGUF", tags: ["license:mit"], gguf: { total: 1e9 } }])),
  });
  assistant = await installAssistant({ env: { HF_ENDPOINT: hub.url } });
  await mkdir(join(assistant.root, "presets"));
  await writeFile(
    join(assistant.root, "presets/local.yaml"),
    "models:\n  - {name: tiny, huggingface_repo: ORG/tiny-GGUF, filename: tiny-Q4_K_M.gguf, size_b: 0.1}\n  - {name: wrong, size_b: 1}\n",
  );
});
afterAll(async () => {
  await assistant[Symbol.asyncDispose]();
  await hub[Symbol.asyncDispose]();
});

const json = async <T>(...args: string[]): Promise<T> =>
  JSON.parse((await assistant.run([...args, "--json"])).stdout) as T;

it("search lists catalog and presets in one list, without a network", async () => {
  const { models } = await json<{ models: { name: string }[] }>("search");
  const names = models.map(({ name }) => name);
  expect(new Set(names).size).toBe(names.length);
  expect(names).toEqual(expect.arrayContaining(["smollm2", "qwen2.5-7b-instruct", "bge-m3", "tiny"]));
  expect(hub.requests).toEqual([]);
  expect((await assistant.run(["search", "tiny", "org"])).stdout).toMatch(
    /^NAME +TYPE +PARAMETERS +SIZE .*\ntiny +chat +100M +- +- +- +cpu +q4_k_m$/,
  );
  expect((await assistant.run(["search", "no-such-model"])).stdout).toContain("--hub");
});

it("search --hub asks the hub too", async () => {
  expect(await json("search", "found", "--hub")).toMatchObject({
    models: [{ name: "hf:ORG/found-GGUF", type: "hub", parameters: 1e9, licence: "mit", fits: "cpu" }],
  });
});

it("check says whether it fits and where it is", async () => {
  expect(await json("check", "tiny")).toMatchObject({ compatible: false, requiredMib: 58, file: null, isOnHub: true });
  expect(await assistant.run(["check", "tinny"])).toMatchObject({
    exitCode: 4,
    stderr: expect.stringContaining("Did you mean tiny?"),
  });
});

it("doctor tells of a broken preset", async () => {
  expect((await assistant.run(["doctor"])).stdout).toContain("this preset is left out");
});

it("pull, register, show, rm and unregister know a preset by its name", async () => {
  expect(await json("show", "tiny")).toMatchObject({ name: "tiny", file: null });
  const pulled = await json<{ file: string; reference: string }>("pull", "tiny", "--name", "mine");
  expect(pulled).toMatchObject({ name: "mine", reference: "hf:ORG/tiny-GGUF/tiny-Q4_K_M.gguf" });
  expect(await json("register", "tiny")).toMatchObject({ model: "tiny", kind: "chat" });
  expect(existsSync(join(assistant.root, "data/models/tiny.gguf"))).toBe(true);
  expect(await assistant.run(["register", "tiny"])).toMatchObject({
    exitCode: 1,
    stderr: expect.stringContaining("already"),
  });
  const removed = await assistant.run(["rm", "tiny", "--yes"]);
  expect(removed.stderr).toContain("`assistant run tiny` pulls it again");
  expect(await assistant.run(["unregister", "tiny"])).toMatchObject({
    exitCode: 2,
    stderr: expect.stringContaining("--yes"),
  });
  expect((await assistant.run(["unregister", "tiny", "--yes"])).exitCode).toBe(0);
  expect(existsSync(join(assistant.root, "models/tiny.toml"))).toBe(false);
  expect(await assistant.run(["pull", "tinny"])).toMatchObject({
    exitCode: 4,
    stderr: expect.stringContaining("Did you mean tiny?"),
  });
});

it("register takes a model of a service, with its key from the environment", async () => {
  const args = ["register", "far", "--provider", "openai_compatible", "--model", "large"];
  expect(await assistant.run(args)).toMatchObject({ exitCode: 2, stderr: expect.stringContaining("address") });
  args.push("--base-url", "http://127.0.0.1:9/v1", "--api-key-env", "HOUSE_KEY");
  expect(await assistant.run(args)).toMatchObject({
    exitCode: 2,
    stderr: expect.stringContaining("HOUSE_KEY is not set"),
  });
  expect(await assistant.run(args, { env: { ...assistant.env, HOUSE_KEY: "sk" } })).toMatchObject({ exitCode: 0 });
  expect(await readFile(join(assistant.root, "models/far.toml"), "utf8")).toContain('provider_model = "large"');
  expect(await readFile(join(assistant.root, "config.toml"), "utf8")).toContain('api_key_env = "HOUSE_KEY"');
});
