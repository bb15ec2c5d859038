import { spawn } from "node:child_process";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { eventually, isRunning, packageRoot } from "../support/assistant.ts";
import { ask, type FakeInstallation, fake, installFakes, open } from "../support/fake-installation.ts";
import { processesNaming } from "../support/processes.ts";

let assistant: FakeInstallation;
let url = "";
let pid = 0;
const start = async (scheduler = ""): Promise<void> => {
  assistant = await installFakes({ models: { river: { knobs: { decodeDelayMs: 20 } } }, scheduler });
  url = await assistant.serve();
  ({ pid } = await assistant.state());
  await ask(url, "river", "wake up");
};
beforeEach(() => {
  pid = 0;
});
afterEach(() => assistant[Symbol.asyncDispose]());

/** A stream that is under way, and what it will have been when it ends. */
async function underWay(tokens: number): Promise<{ rest: Promise<string> }> {
  const response = await open(url, "river", `tell me ${fake({ tokens })}`, { stream: true });
  const reader = (response.body as ReadableStream<Uint8Array>).pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  while (!text.includes("word3")) text += (await reader.read()).value ?? "";
  const rest = (async () => {
    for (;;) {
      const part = await reader.read().catch(() => ({ done: true as const, value: undefined }));
      if (part.done) return text;
      text += part.value;
    }
  })();
  return { rest };
}

const stopped = (): Promise<unknown> => eventually("the daemon has ended", async () => !(await isRunning(pid)), 10_000);
const nothingLeft = async (): Promise<void> => {
  await stopped();
  // A process that was killed is there until the kernel comes to it, which takes a busy machine a moment.
  await eventually("no process is left", async () => (await processesNaming(assistant.root)).length === 0, 2_000);
  expect(await assistant.livingEngines()).toEqual([]);
};

test("SIGTERM lets a running answer finish and refuses new ones with shutting_down", async () => {
  await start();
  const { rest } = await underWay(60);
  process.kill(pid, "SIGTERM");
  await eventually("it says that it stops", async () => (await assistant.state()).state === "stopping");
  const refused = await ask(url, "river", "too late").catch(() => null);
  // A connection that was refused says the same as an answer, without a body.
  if (refused) expect(refused).toMatchObject({ status: 503, text: expect.stringContaining("shutting_down") });
  const text = await rest;
  expect(text).toContain("word59");
  expect(text).toContain("[DONE]");
  await nothingLeft();
});

test("SIGTERM tells those who wait at once, and a second one ends what runs, whose client is told", async () => {
  await start();
  const running = [await underWay(100_000), await underWay(100_000)];
  const waiting = ask(url, "river", "wait for a slot");
  await eventually("it waits", async () => (await assistant.state()).queued === 1);
  process.kill(pid, "SIGTERM");
  const answer = await waiting;
  expect(answer).toMatchObject({ status: 503, text: expect.stringContaining("shutting_down") });
  expect(answer.headers.get("retry-after")).toMatch(/^\d+$/);
  expect((await assistant.state()).state).toBe("stopping");
  process.kill(pid, "SIGTERM");
  for (const { rest } of running) expect(await rest).not.toContain("[DONE]");
  await nothingLeft();
});

test("running answers get drain_timeout_s and no more", async () => {
  await start("drain_timeout_s = 0.3");
  const { rest } = await underWay(100_000);
  process.kill(pid, "SIGTERM");
  expect(await rest).not.toContain("[DONE]");
  await nothingLeft();
});

test("stop waits for running answers, stop --now does not", async () => {
  await start();
  const { rest } = await underWay(40);
  const stop = await assistant.run(["stop"]);
  expect(stop.exitCode).toBe(0);
  expect(await rest).toContain("[DONE]");
  await nothingLeft();

  url = await assistant.serve();
  ({ pid } = await assistant.state());
  const long = await underWay(100_000);
  const now = await assistant.run(["stop", "--now"]);
  expect(now.exitCode).toBe(0);
  expect(await long.rest).not.toContain("[DONE]");
  await nothingLeft();
});

test("an engine that ignores SIGTERM does not keep the daemon", async () => {
  assistant = await installFakes({ models: { river: { knobs: { ignoreSigterm: true, holdPipe: true } } } });
  url = await assistant.serve();
  ({ pid } = await assistant.state());
  await ask(url, "river", "wake up");
  await assistant.stop();
  await nothingLeft();
});

test("a daemon that stops while an engine loads leaves none behind", async () => {
  assistant = await installFakes({ models: { river: { knobs: { startDelayMs: 60_000 }, toml: "preload = true" } } });
  await assistant.serve();
  ({ pid } = await assistant.state());
  await eventually("the engine loads", async () => (await assistant.livingEngines()).length === 1);
  process.kill(pid, "SIGTERM");
  await nothingLeft();
});

test("a client that keeps its connection open and idle does not keep the daemon", async () => {
  await start();
  const { Agent, request } = await import("node:http");
  const agent = new Agent({ keepAlive: true });
  await new Promise<void>((resolve, reject) => {
    request(`${url}/health`, { agent }, (response) => response.resume().on("end", () => resolve()))
      .on("error", reject)
      .end();
  });
  process.kill(pid, "SIGTERM");
  await nothingLeft();
  agent.destroy();
});

test("in the foreground, as under a supervisor, SIGTERM ends it with exit code 0", async () => {
  assistant = await installFakes({ models: { river: { toml: "preload = true" } } });
  const child = spawn(process.execPath, [join(packageRoot, "bin/assistant.js"), "serve", "--foreground"], {
    env: assistant.env,
    stdio: ["ignore", "pipe", "pipe"],
  });
  const ended = new Promise((resolve) => child.once("exit", (code, signal) => resolve({ code, signal })));
  pid = child.pid ?? 0;
  let printed = "";
  child.stdout.on("data", (part) => (printed += String(part)));
  await eventually("it is ready", () => printed.includes('"ready"') || printed.includes("ready"));
  await assistant.ready("river");
  child.kill("SIGTERM");
  expect(await ended).toEqual({ code: 0, signal: null });
  expect(printed).toContain("stopped");
  await nothingLeft();
});
