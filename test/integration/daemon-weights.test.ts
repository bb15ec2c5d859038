import { rename, rm, writeFile } from "node:fs/promises";
import { afterEach, expect, test } from "vitest";
import { eventually } from "../support/assistant.ts";
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
    (await model("river"))?.error?.includes("are not there"),
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
