import { existsSync } from "node:fs";
import { mkdir, readdir, readFile } from "node:fs/promises";
import { availableParallelism } from "node:os";
import { dirname, join } from "node:path";
import { execa } from "execa";
import { afterEach, beforeEach, expect, test } from "vitest";
import type { TuneReport } from "../../commands/support/tune/tune.ts";
import type { LineChange } from "../../src/config/edit.ts";
import { eventually, installAssistant, packageRoot, readyInstances, type TestAssistant } from "../support/assistant.ts";
import { chatModelFile } from "../support/model-files.ts";
import { chatModelToml } from "../support/models.ts";
import { nativeEngineConfig } from "../support/native-engine.ts";
import { processesNaming } from "../support/processes.ts";

type Tuned = TuneReport & {
  readonly written: boolean;
  readonly reloaded: boolean;
  readonly edit: readonly LineChange[];
};

let assistant: TestAssistant;
let modelFile: string;
let temporary: string;
beforeEach(async () => {
  const toml = chatModelToml(
    await chatModelFile(),
    "llama-server",
    "batch_size = 512 # too many for a small machine\n# a last word",
    "auto",
  );
  assistant = await installAssistant({ models: { smol: toml }, config: nativeEngineConfig() });
  modelFile = join(assistant.root, "models/smol.toml");
  temporary = join(assistant.root, "tmp");
  await mkdir(temporary);
  assistant.env["TMPDIR"] = temporary;
});
afterEach(() => assistant?.[Symbol.asyncDispose]());

test("tune measures with the real engine, changes only its keys of the file, and the daemon's model has them", async () => {
  await assistant.serve();
  const before = await readFile(modelFile, "utf8");
  const { exitCode, stdout } = await assistant.run(["tune", "smol", "--budget", "20s", "--streams", "2", "--json"]);
  expect(exitCode).toBe(0);
  const tuned = JSON.parse(stdout) as Tuned;

  expect(tuned).toMatchObject({
    model: "smol",
    engine: "llama-server",
    device: "cpu",
    section: "chat",
    file: modelFile,
  });
  expect(tuned.tried[0]).toMatchObject({ axis: "start", slots: 2, batchTokens: 512 });
  for (const { result } of tuned.tried) {
    if (result.kind === "failed") continue;
    expect(result.runs).toBeGreaterThanOrEqual(2);
    expect(Math.min(result.rates.prefill, result.rates.decode ?? 0, result.rates.streams ?? 0)).toBeGreaterThan(0);
  }
  expect(tuned.written).toBe(tuned.changes.length > 0);
  expect(tuned.reloaded).toBe(tuned.written);
  const lines = (await readFile(modelFile, "utf8")).split("\n");
  for (const { key, to } of tuned.changes)
    expect(lines.find((line) => line.startsWith(`${key} = `))).toContain(String(to));
  // With the changes taken back it is the file that it was.
  for (const { line, before: old } of [...tuned.edit].reverse())
    lines.splice(line - 1, 1, ...(old === null ? [] : [old]));
  expect(lines.join("\n")).toBe(before);
  expect(await readdir(temporary)).toEqual([]);
});

test("models that are to run side by side are each measured with their part of the threads", async () => {
  await assistant.writeModel(
    "other",
    (await readFile(modelFile, "utf8")).replace('model_name = "smol"', 'model_name = "other"'),
  );
  const { exitCode, stdout, stderr } = await assistant.run([
    "tune",
    "smol",
    "other",
    "--for",
    "latency",
    "--budget",
    "2s",
    "--dry-run",
    "--json",
  ]);
  expect(exitCode, stderr).toBe(0);
  const tuned = JSON.parse(stdout) as Tuned[];
  expect(tuned.map(({ model, sideBySide, written }) => ({ model, sideBySide, written }))).toEqual(
    ["smol", "other"].map((model) => ({ model, sideBySide: 2, written: false })),
  );
  const share = Math.max(1, Math.floor(availableParallelism() / 2));
  for (const { tried } of tuned) expect(Math.max(...tried.map(({ threads }) => threads))).toBeLessThanOrEqual(share);
});

test("a dry run shows the table and leaves the file", async () => {
  const before = await readFile(modelFile, "utf8");
  const shown = await assistant.run(["tune", "smol", "--for", "latency", "--budget", "2s", "--dry-run"]);
  expect(shown.exitCode).toBe(0);
  expect(shown.stdout).toMatch(/^VARIED +THREADS +SLOTS +BATCH[^\n]+LATENCY\nstart +\d+ +2 +512/);
  expect(await readFile(modelFile, "utf8")).toBe(before);
});

test("where the daemon has an instance on the device, tune asks before it disturbs and is disturbed", async () => {
  await assistant.serve();
  await assistant.run(["run", "smol", "Hi", "--max-tokens", "2"]);
  expect(readyInstances(await assistant.status(), "smol")).toHaveLength(1);
  const refused = await assistant.run(["tune", "smol", "--budget", "5s"]);
  expect(refused).toMatchObject({ exitCode: 1, stderr: expect.stringMatching(/smol@cpu on cpu[\s\S]*--stop/) });
  expect(readyInstances(await assistant.status(), "smol")).toHaveLength(1);
  const stopped = await assistant.run(["tune", "smol", "--for", "latency", "--budget", "2s", "--stop", "--dry-run"]);
  expect(stopped.exitCode).toBe(0);
  expect(readyInstances(await assistant.status(), "smol")).toHaveLength(0);
});

test("Ctrl-C ends the engine too, and changes nothing", async () => {
  const before = await readFile(modelFile, "utf8");
  const child = execa(process.execPath, [join(packageRoot, "bin/assistant.js"), "tune", "smol", "--budget", "10m"], {
    ...{ env: assistant.env, extendEnv: false, reject: false },
  });
  const socket = await eventually("the engine listens", async () =>
    (await readdir(temporary, { recursive: true }).catch(() => [])).find((name) => name.endsWith(".sock")),
  );
  const folder = dirname(socket);
  child.kill("SIGINT");
  const { exitCode, stderr } = await child;
  expect({ exitCode, stderr }).toEqual({ exitCode: 130, stderr: expect.stringContaining("Nothing was changed") });
  expect(existsSync(join(temporary, folder))).toBe(false);
  expect(await processesNaming(join(temporary, folder))).toEqual([]);
  expect(await readFile(modelFile, "utf8")).toBe(before);
});

test("a model that is not configured is named, with those that come near", async () => {
  expect(await assistant.run(["tune", "smoll"])).toMatchObject({
    exitCode: 4,
    stderr: expect.stringContaining("Did you mean smol?"),
  });
  expect(await assistant.run(["tune", "smol", "--budget", "soon"])).toMatchObject({
    exitCode: 2,
    stderr: expect.stringContaining("--budget"),
  });
});
