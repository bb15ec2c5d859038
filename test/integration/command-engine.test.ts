import { mkdtemp, rm } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { expect, test } from "vitest";
import type { CommandSettings } from "../../src/core/command.ts";
import { createCommandEngine } from "../../src/engines/command/engine.ts";
import { eventually, isRunning } from "../support/assistant.ts";
import { testModel } from "../support/fake-engine.ts";
import { order, startFleet, type TestFleet } from "../support/fleet.ts";
import { commandSettings, openAiServer, recorded } from "../support/openai-server.ts";

interface Run extends TestFleet {
  readonly records: string;
}

/** A fleet whose instances run the fake server, with `args` besides those that say where it listens. */
async function start(args: readonly string[], settings: Partial<CommandSettings> = {}, quick = {}): Promise<Run> {
  const records = join(await mkdtemp(join(tmpdir(), "command-")), "records.jsonl");
  const engine = createCommandEngine({ SECRET: "not passed", PASSED: "passed on" });
  const t = await startFleet(engine, quick);
  const where = args.includes("{socket}") ? [] : ["--port", "{port}"];
  const run = openAiServer(...where, "--record", records, ...args);
  const command = commandSettings(run, settings);
  t.fleet.start(order({ model: testModel({ engine: "command", command }) }));
  return {
    ...t,
    records,
    async [Symbol.asyncDispose]() {
      await t[Symbol.asyncDispose]();
      await rm(dirname(records), { recursive: true, force: true });
    },
  };
}

const reaches = (t: TestFleet, state: string) =>
  eventually(`the instance is ${state}`, () => {
    const { state: now, lastDeath } = t.snapshot();
    if (now === "failed" && state !== "failed") throw new Error(lastDeath?.message);
    return now === state;
  });

test("a program on a loopback port is probed with a token, and its traits say what it cannot tell", async () => {
  await using t = await start([]);
  await reaches(t, "ready");
  expect(t.snapshot()).toMatchObject({ engine: "command", traits: { onlyOpenAi: true, noticesDisconnects: false } });
  expect(t.snapshot().endpoint).toMatch(/^127\.0\.0\.1:\d+$/);
  const [asked] = await recorded(t.records);
  expect(asked).toMatchObject({ path: "/v1/completions" });
  expect(JSON.parse(String(asked?.["body"]))).toMatchObject({ model: "fake", max_tokens: 1 });
  await eventually("memory is measured", () => (t.snapshot().memoryBytes ?? 0) > 1_000_000);
  expect(t.snapshot().decodingTokensPerSecond).toBeUndefined();
});

test("a program on a Unix socket, asked to end by the signal that its model's file names", async () => {
  await using t = await start(["--socket", "{socket}"], { stopSignal: "SIGINT" });
  await reaches(t, "ready");
  expect(t.snapshot().endpoint).toMatch(/\.sock$/);
  t.fleet.stop("fake@cpu", "idle");
  await reaches(t, "absent");
  expect((await recorded(t.records)).at(-1)).toEqual({ signal: "SIGINT" });
});

test("placeholders, environment and working directory reach the program, and nothing else of the daemon's environment", async () => {
  const env = { ...commandSettings([]).env, FAKE_VALUE: "{name} {threads} {context} {slots} {device} {model}" };
  await using t = await start([], { env, passEnv: ["PASSED"], workingDir: "/" });
  await reaches(t, "ready");
  expect((await recorded(t.records))[0]).toMatchObject({
    environment: "fake 1 4096 2 cpu /nowhere/fake.gguf",
    directory: "/",
  });
});

test("a program that listens late is waited for", async () => {
  await using t = await start(["--fault", "late"]);
  await reaches(t, "ready");
});

test.each([
  ["never-listens", "start-timeout", /no token within 1\.5 s; nothing listens on 127\.0\.0\.1:\d+; it printed nothing/],
  ["other-port", "start-timeout", /nothing listens on 127\.0\.0\.1:\d+; its last line: listening/],
  ["html", "probe-failed", /\/v1\/completions with status 200: <!doctype html>/],
  ["no-answer", "start-timeout", /no token within 1\.5 s/],
  ["dies", "signal", /killed by SIGKILL/],
])("%s: the instance fails, saying why, and is tried again later", async (fault, cause, message) => {
  const startTimeoutMs = cause === "start-timeout" ? 1_500 : 30_000;
  await using t = await start(["--fault", fault], {}, { startTimeoutMs });
  await eventually("the instance has failed", () => t.snapshot().state === "failed");
  const { lastDeath, retryAt } = t.snapshot();
  expect(lastDeath).toMatchObject({ cause });
  expect(lastDeath?.message).toMatch(message);
  expect(retryAt).not.toBeNull();
});

test("a port that another program has taken is never used", async () => {
  await using t = await start(["--fault", "stranger"]);
  await eventually("the instance has failed", () => t.snapshot().state === "failed");
  expect(t.snapshot().lastDeath).toMatchObject({ cause: "port-taken" });
  expect(t.snapshot().lastDeath?.message).toMatch(/another program listens on 127\.0\.0\.1:\d+/);
  const [{ stranger } = {}, ...asked] = await recorded(t.records);
  process.kill(stranger as number, "SIGKILL");
  // Not even a question of ours has reached it.
  expect(asked).toEqual([]);
});

test("a port that goes to another program while the instance runs is given up", async () => {
  await using t = await start(["--fault", "hands-over"]);
  await eventually("the instance has failed", () => t.snapshot().state === "failed");
  const [, { stranger } = {}, ...asked] = await recorded(t.records);
  process.kill(stranger as number, "SIGKILL");
  expect(t.snapshot().lastDeath).toMatchObject({ cause: "port-taken" });
  expect(asked).toEqual([]);
});

test("a port that another program opens for this one is used where the model's file says so", async () => {
  await using t = await start(["--fault", "stranger"], { ownListener: false });
  await reaches(t, "ready");
  const [{ stranger } = {}] = await recorded(t.records);
  process.kill(stranger as number, "SIGKILL");
});

test("a program that ignores its signal is killed after its own grace", async () => {
  await using t = await start(["--fault", "ignores-signals"], { stopGraceMs: 300 }, { stopGraceMs: 100 });
  await reaches(t, "ready");
  const { pid } = t.snapshot();
  t.fleet.stop("fake@cpu", "evicted");
  await reaches(t, "absent");
  expect((await recorded(t.records)).at(-1)).toEqual({ signal: "SIGTERM" });
  expect(await isRunning(pid ?? 0)).toBe(false);
});

test("an answerless engine that is suspected is asked for a token, and given up", async () => {
  await using t = await start([], {}, { wedgeAfterMs: 300 });
  await reaches(t, "ready");
  process.kill(t.snapshot().pid ?? 0, "SIGSTOP");
  t.fleet.suspect("fake@cpu");
  await eventually("the instance has failed", () => t.snapshot().state === "failed");
  expect(t.snapshot().lastDeath).toMatchObject({ cause: "wedged" });
  expect(t.snapshot().lastDeath?.message).toMatch(/produced no token within/);
});

test("a program that is missing, and a directory that is, are named", async () => {
  await using missing = await startFleet(createCommandEngine({}));
  const settings = commandSettings(["/nowhere/server", "{port}"]);
  missing.fleet.start(order({ model: testModel({ engine: "command", command: settings }) }));
  await eventually("it has failed", () => missing.snapshot().state === "failed");
  expect(missing.snapshot().lastDeath?.message).toMatch(/could not be run.*\/nowhere\/server/);
  await using lost = await startFleet(createCommandEngine({}));
  const command = { ...settings, workingDir: "/nowhere" };
  lost.fleet.start(order({ model: testModel({ engine: "command", command }) }));
  await eventually("it has failed", () => lost.snapshot().state === "failed");
  expect(lost.snapshot().lastDeath?.message).toMatch(/working_dir is \/nowhere, which is no directory/);
});

test("two instances have two ports, none of them one that is taken", async () => {
  const taken = createServer();
  await new Promise<void>((resolve) => taken.listen(0, "127.0.0.1", resolve));
  await using t = await start([]);
  const command = commandSettings(openAiServer("--port", "{port}"));
  t.fleet.start(order({ instanceId: "fake@cpu#2", model: testModel({ engine: "command", command }) }));
  await reaches(t, "ready");
  await eventually("the second is ready", () => t.snapshot("fake@cpu#2").state === "ready");
  const { port } = taken.address() as { port: number };
  expect(new Set([t.snapshot().endpoint, t.snapshot("fake@cpu#2").endpoint, `127.0.0.1:${port}`]).size).toBe(3);
  taken.close();
});
