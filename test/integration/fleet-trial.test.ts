import { access } from "node:fs/promises";
import { dirname } from "node:path";
import { expect, test } from "vitest";
import { AssistantError, type ErrorCode } from "../../src/core/errors.ts";
import { createEngineProbe } from "../../src/engines/index.ts";
import { type Trial, withTrialEngine } from "../../src/fleet/trial.ts";
import { eventually, isRunning } from "../support/assistant.ts";
import {
  callEngine,
  type EngineRecord,
  fakeEngine,
  type Knobs,
  testDevice,
  testModel,
} from "../support/fake-engine.ts";

const trial = (knobs: Partial<Knobs> = {}): Trial => ({
  engine: fakeEngine(knobs),
  model: testModel(),
  modelPath: "/nowhere/fake.gguf",
  device: testDevice(),
  threads: 1,
  probe: createEngineProbe(),
  env: process.env,
});

async function pidOf(socket: string): Promise<number> {
  const { text } = await callEngine(socket, "/__record");
  return (JSON.parse(text) as EngineRecord).pid;
}

const exists = (path: string): Promise<boolean> =>
  access(path).then(
    () => true,
    () => false,
  );

const forever = new AbortController().signal;

test("an engine is ready while it is used, and gone with all its files afterwards", async () => {
  const seen = await withTrialEngine(trial(), forever, async (socket) => ({ socket, pid: await pidOf(socket) }));
  expect(await isRunning(seen.pid)).toBe(false);
  expect(await exists(dirname(seen.socket))).toBe(false);
});

test("an engine that ends while it starts is reported with its last words", async () => {
  const started = withTrialEngine(
    trial({ exitAtStart: 3, exitText: "error: no such tensor" }),
    forever,
    async () => {},
  );
  await expect(started).rejects.toMatchObject({
    code: "model_failed",
    message: expect.stringMatching(/exit code 3 while it was starting.*no such tensor/u),
  });
});

test("an engine that cannot be launched gives the error that says why", async () => {
  const { engine, ...rest } = trial();
  const code: ErrorCode = "config_invalid";
  const refusing = {
    ...engine,
    launch: () => {
      throw new AssistantError(code, "No such template.");
    },
  };
  await expect(withTrialEngine({ ...rest, engine: refusing }, forever, async () => {})).rejects.toMatchObject({
    code,
    message: "No such template.",
  });
});

test("an engine that dies in use is reported, and not the connection that broke with it", async () => {
  const used = withTrialEngine(trial({ dieAfterTokens: 2 }), forever, async (socket) => {
    await callEngine(socket, "/v1/completions", { prompt: "Hi", max_tokens: 5 });
    throw new Error("the connection broke");
  });
  await expect(used).rejects.toMatchObject({
    code: "model_failed",
    message: expect.stringContaining("killed by SIGKILL"),
  });
});

test("an engine that dies while nobody waits for it aborts the signal of its user", async () => {
  const used = withTrialEngine(trial(), forever, async (socket, signal) => {
    process.kill(await pidOf(socket), "SIGKILL");
    await eventually("the signal is aborted", () => signal.aborted);
    signal.throwIfAborted();
  });
  await expect(used).rejects.toMatchObject({ code: "model_failed" });
});

test("what its user throws is thrown, and the engine is ended", async () => {
  let pid = -1;
  const used = withTrialEngine(trial(), forever, async (socket) => {
    pid = await pidOf(socket);
    throw new Error("enough");
  });
  await expect(used).rejects.toThrow("enough");
  expect(await isRunning(pid)).toBe(false);
});

test("a start is given up when the signal aborts, with its reason", async () => {
  const stop = new AbortController();
  const started = withTrialEngine(trial({ startDelayMs: 60_000 }), stop.signal, async () => {});
  setTimeout(() => stop.abort(new Error("interrupted")), 200);
  await expect(started).rejects.toThrow("interrupted");
  await expect(withTrialEngine(trial(), stop.signal, async () => {})).rejects.toThrow("interrupted");
});
