import { existsSync } from "node:fs";
import { mkdir, readdir, readFile, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { type Hub, startHub } from "../fakes/hub.ts";
import { installAssistant, type TestAssistant } from "../support/assistant.ts";
import { modelPart, projectorFile, serveRepository } from "../support/model-repository.ts";

let hub: Hub;
let assistant: TestAssistant;
const files = {
  "m-Q8_0-00001-of-00002.gguf": modelPart(1, 2),
  "m-Q8_0-00002-of-00002.gguf": modelPart(2, 2),
  "mmproj-F16.gguf": projectorFile,
};

beforeEach(async () => {
  hub = await startHub();
  serveRepository(hub, "acme/m", files);
  assistant = await installAssistant({ env: { HF_ENDPOINT: hub.url } });
});
afterEach(async () => {
  await assistant[Symbol.asyncDispose]();
  await hub[Symbol.asyncDispose]();
});

const json = async <T>(...args: string[]): Promise<T> =>
  JSON.parse((await assistant.run([...args, "--json"])).stdout) as T;
const inStore = (...parts: string[]): string => join(assistant.root, "data/models", ...parts);

it("a model of several files is looked at, pulled, copied, exported, and removed with all of them", async () => {
  const before = await assistant.run(["show", "hf:acme/m"]);
  expect(before.stdout).toMatch(/^capabilities +chat, tools, vision$/m);
  expect(before.stdout).toMatch(/^files +m-Q8_0-00001-of-00002\.gguf, m-Q8_0-00002-of-00002\.gguf, mmproj-F16\.gguf$/m);
  expect(existsSync(inStore())).toBe(false);

  expect((await assistant.run(["pull", "hf:acme/m"])).stdout).toContain("Run it: assistant run m-Q8_0");
  const modelFile = await readFile(join(assistant.root, "models/m-Q8_0.toml"), "utf8");
  expect(modelFile).toContain('source = "hf:acme/m/m-Q8_0-00001-of-00002.gguf"');
  expect(modelFile).toContain(`llava_mmproj = "${inStore("m-Q8_0/mmproj-F16.gguf")}"`);
  const bytes = Object.values(files).reduce((sum, file) => sum + file.length, 0);
  expect(await json("list")).toMatchObject({ models: [{ name: "m-Q8_0", bytes, readable: true, configured: true }] });

  expect(await assistant.run(["cp", "m-Q8_0", "twin"])).toMatchObject({ exitCode: 0 });
  expect((await assistant.run(["export", "m-Q8_0", "./out"])).exitCode).toBe(0);
  expect((await readdir(join(assistant.root, "out"))).sort()).toEqual(Object.keys(files));
  expect(await assistant.run(["export", "m-Q8_0", "./out"])).toMatchObject({
    exitCode: 1,
    stderr: expect.stringContaining("Add `--force`"),
  });

  expect(await assistant.run(["rm", "m-Q8_0", "--yes"])).toMatchObject({ exitCode: 0 });
  expect((await readdir(inStore())).sort()).toEqual(["twin", "twin.json"]);
  expect(await json("show", "twin")).toMatchObject({ bytes, files: Object.keys(files), problem: null });
});

it("a folder is imported without being copied", async () => {
  await mkdir(join(assistant.root, "mine"));
  for (const [name, body] of Object.entries(files)) await writeFile(join(assistant.root, "mine", name), body);
  const { models } = await json<{ models: { name: string; file: string }[] }>("import", "./mine");
  expect(models).toMatchObject([{ name: "mine", file: inStore("mine/m-Q8_0-00001-of-00002.gguf") }]);
  const original = await stat(join(assistant.root, "mine/m-Q8_0-00001-of-00002.gguf"));
  expect((await stat(models[0]?.file ?? "")).ino).toBe(original.ino);
});

it("prune deletes unfinished downloads, and models that are not configured where that is wanted", async () => {
  await mkdir(inStore(), { recursive: true });
  await writeFile(inStore("stray.gguf"), modelPart(1, 1));
  await writeFile(inStore(".half.partial"), "GGUF");
  await assistant.run(["pull", "hf:acme/m"]);
  expect((await assistant.run(["prune", "--unused", "--dry-run"])).stdout).toMatch(
    /^unfinished download of half \(4 B\)\nmodel stray \(.*\), not configured$/,
  );
  expect((await assistant.run(["rm", "half", "--yes"])).stderr).toMatch(
    /The download of "half" was not finished.*`assistant prune` deletes/s,
  );
  expect(await assistant.run(["prune"])).toMatchObject({ exitCode: 2, stderr: expect.stringContaining("--yes") });
  expect(await json("prune", "--yes")).toMatchObject({ deleted: true, leftovers: [{ name: "half" }], models: [] });
  expect((await readdir(inStore())).sort()).toEqual(["m-Q8_0", "m-Q8_0.json", "stray.gguf"]);
  expect(await json("prune", "--unused", "--yes")).toMatchObject({ deleted: true, models: [{ name: "stray" }] });
  expect((await assistant.run(["prune", "--unused"])).stdout).toBe("There is nothing to delete.");
});
