import { afterEach, beforeEach, expect, test } from "vitest";
import { ensureDaemon, type StartOptions } from "../../commands/support/daemon/start.ts";
import { resolvePaths } from "../../src/config/paths.ts";
import { isRunning } from "../support/assistant.ts";
import { type FakeInstallation, fakeDaemonProgram, installWithFake } from "../support/fake-daemon.ts";

let fake: FakeInstallation;
beforeEach(async () => {
  fake = await installWithFake();
});
afterEach(async () => {
  await fake.assistant.run(["stop", "--now"]);
  await fake[Symbol.asyncDispose]();
});

const start = (knobs: Record<string, string> = {}, onWaiting?: StartOptions["onWaiting"]) => {
  const env = { ...fake.assistant.env, ...knobs };
  return ensureDaemon({
    paths: resolvePaths(env),
    env,
    httpAddr: null,
    program: fakeDaemonProgram,
    ...(onWaiting ? { onWaiting } : {}),
  });
};

test("returns when the daemon is ready, which then lives without its parent; the next call finds it", async () => {
  const first = await start();
  expect(first.started).toBe(true);
  expect(await isRunning(first.status.pid)).toBe(true);
  const second = await start();
  expect(second).toMatchObject({ started: false, status: { pid: first.status.pid } });
});

test("a slow start is told while it lasts", async () => {
  const seen: number[] = [];
  await start({ FAKE_START: "slow" }, (elapsedS) => seen.push(elapsedS));
  expect(seen.length).toBeGreaterThan(3);
  expect(seen.at(-1)).toBeGreaterThan(1);
});

test("a start that fails gives the daemon's own reason and remedy", async () => {
  await expect(start({ FAKE_START: "fail" })).rejects.toMatchObject({
    code: "address_in_use",
    message: expect.stringContaining("127.0.0.1:8080"),
    remedy: "Choose another port.",
  });
});

test("a daemon that dies without a word gives its last lines and its exit code", async () => {
  await expect(start({ FAKE_START: "die" })).rejects.toMatchObject({
    code: "daemon_start_failed",
    message: expect.stringMatching(/exit code 7[\s\S]*the sky is falling/u),
  });
});
