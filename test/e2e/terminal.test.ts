import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { eventually, installAssistant, packageRoot, readyInstances, type TestAssistant } from "../support/assistant.ts";
import { chatModelFile } from "../support/model-files.ts";
import { chatModelToml } from "../support/models.ts";
import { nativeEngineConfig } from "../support/native-engine.ts";
import { openTerminal } from "../support/terminal.ts";

let assistant: TestAssistant;
const assistantCommand = (...args: string[]) => [process.execPath, join(packageRoot, "bin/assistant.js"), ...args];

beforeAll(async () => {
  assistant = await installAssistant({
    models: { smol: chatModelToml(await chatModelFile(), "llama-server") },
    config: nativeEngineConfig(),
  });
});
afterAll(() => assistant?.[Symbol.asyncDispose]());

test("run starts the daemon, chats, keeps the chat when Ctrl-C stops an answer, and leaves at /bye", async () => {
  await using terminal = await openTerminal(assistantCommand("run", "smol"), {
    env: assistant.env,
    columns: 100,
    rows: 30,
  });
  await terminal.until(/>>>/);
  await terminal.type("Write a very long story about a river.");
  await terminal.press("Enter");
  await eventually("an answer is under way", async () =>
    (await assistant.status()).instances.some((instance) => instance.inFlight > 0),
  );
  await terminal.press("C-c");
  await eventually("the engine is idle again", async () =>
    (await assistant.status()).instances.every((instance) => instance.inFlight === 0),
  );
  await terminal.until(/>>>[^>]*$/);
  await terminal.type("/bye");
  await terminal.press("Enter");
  await terminal.until(/\[exit 0\]/);
});

test("run reads standard input and prints the answer alone", async () => {
  const result = await assistant.run(["run", "smol", "--max-tokens", "8"], { input: "Name a river." });
  expect(result.exitCode).toBe(0);
  expect(result.stdout.trim().length).toBeGreaterThan(0);
});

test("ps shows the instance live, stops it after a question, and fits a narrow terminal", async () => {
  await assistant.run(["run", "smol", "Hi", "--max-tokens", "2"]);
  await using terminal = await openTerminal(assistantCommand("ps"), { env: assistant.env, columns: 120, rows: 30 });
  await terminal.until(/smol@cpu[^\n]*ready/);
  await terminal.resize(60, 20);
  const narrow = await terminal.until(/smol/);
  for (const line of narrow.split("\n")) expect(line.length).toBeLessThanOrEqual(60);
  await terminal.resize(120, 30);
  await terminal.press("x");
  await terminal.press("y");
  await eventually(
    "the instance has stopped",
    async () => readyInstances(await assistant.status(), "smol").length === 0,
  );
  await terminal.press("q");
  await terminal.until(/\[exit 0\]/);
});

test("ps prints a plain table when its output is no terminal", async () => {
  const result = await assistant.run(["ps"]);
  expect(result.exitCode).toBe(0);
  expect(result.stdout).not.toContain("\u001b[");
});
