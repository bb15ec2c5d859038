import { rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, expect, test } from "vitest";
import type { ModelList } from "../../src/api/models.ts";
import { adminRoutes } from "../../src/api/routes.ts";
import { eventually } from "../support/assistant.ts";
import { callEngine } from "../support/fake-engine.ts";
import { ask, type FakeInstallation, installFakes } from "../support/fake-installation.ts";
import { ggufPieces } from "../support/gguf-writer.ts";

let assistant: FakeInstallation;
afterEach(() => assistant[Symbol.asyncDispose]());

const model = async (name: string) => (await assistant.state()).models.find((entry) => entry.name === name);

test("weights that come while the daemon runs end the failure that their absence was, without a pause", async () => {
  assistant = await installFakes({ models: { river: {} } });
  const file = assistant.weights("river");
  await rename(file, `${file}.away`);
  const url = await assistant.serve();
  await eventually("it is said before anybody asks", async () =>
    (await model("river"))?.error?.includes("do not exist"),
  );
  expect((await ask(url, "river", "hello")).status).toBe(503);
  await rename(`${file}.away`, file);
  await eventually("the error has gone", async () => (await model("river"))?.error === null);
  const begun = performance.now();
  expect((await ask(url, "river", "hello")).status).toBe(200);
  expect(performance.now() - begun).toBeLessThan(9_000);
});

test("a file that cannot be loaded never reaches an engine, and its model says what it is", async () => {
  assistant = await installFakes({ models: { river: {} } });
  await writeFile(assistant.weights("river"), "version https://git-lfs.github.com/spec/v1\n");
  const url = await assistant.serve();
  const answer = await ask(url, "river", "hello");
  expect(answer.status).toBe(422);
  expect((await model("river"))?.error).toContain("a Git LFS pointer");
  expect(await assistant.launches("river")).toBe(0);
});

test("the daemon lists files as they are now, and its models while the configuration is broken", async () => {
  assistant = await installFakes({ models: { river: {} } });
  const file = assistant.weights("river");
  const replace = async (content: Uint8Array | string): Promise<void> => {
    await writeFile(`${file}.new`, content);
    await rename(`${file}.new`, file);
  };
  const weights = (fileType: number): Buffer =>
    Buffer.concat(
      ggufPieces(
        new Map([
          ["general.architecture", { text: "llama" }],
          ["general.file_type", { u32: fileType }],
        ]),
        [],
      ),
    );
  const listed = async (): Promise<ModelList> =>
    JSON.parse((await callEngine(assistant.adminSocket, adminRoutes.models)).text) as ModelList;
  await replace(weights(15));
  await assistant.serve();
  expect(await listed()).toMatchObject({ models: [{ name: "river", quantization: "Q4_K_M" }], problem: null });
  await replace(weights(7));
  expect((await listed()).models).toMatchObject([{ quantization: "Q8_0", readable: true, problem: null }]);
  await replace("no model");
  expect((await listed()).models).toMatchObject([{ readable: false, problem: expect.stringContaining("not a GGUF") }]);
  await rm(file);
  expect((await listed()).models).toMatchObject([{ file: null, readable: false }]);
  await writeFile(join(assistant.root, "config.toml"), "[server\n");
  await eventually("the mistake is known", async () => (await listed()).problem !== null);
  const { stdout, stderr } = await assistant.run(["ls"]);
  expect(stdout).toMatch(/^river .*not pulled$/m);
  expect(stderr).toMatch(/the daemon keeps the previous one[\s\S]*config\.toml/);
});

test("a context above the trained one is a warning until it is lowered", async () => {
  assistant = await installFakes({ models: { river: { contextTokens: 4096 } } });
  const header = ggufPieces(
    new Map([
      ["general.architecture", { text: "llama" }],
      ["llama.context_length", { u32: 2048 }],
    ]),
    [],
  );
  await rm(assistant.weights("river"));
  await writeFile(assistant.weights("river"), Buffer.concat(header));
  await assistant.serve();
  const warned = async () =>
    (await assistant.state()).notices.some(({ message }) =>
      message.includes("larger than the 2048 that the model was trained with"),
    );
  await eventually("a warning", warned);
  await assistant.writeModel("river", assistant.toml("river", { contextTokens: 2048 }));
  await eventually("none", async () => !(await warned()));
});
