import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, expect, test } from "vitest";
import { processStartTime } from "../../src/core/process.ts";
import { eventually, isRunning } from "../support/assistant.ts";
import { type FakeInstallation, installFakes } from "../support/fake-installation.ts";
import { processesNaming } from "../support/processes.ts";

let assistant: FakeInstallation;
const install = async (): Promise<FakeInstallation> => {
  assistant = await installFakes({ models: { river: {} } });
  return assistant;
};
afterEach(() => assistant[Symbol.asyncDispose]());

const dataDir = (): string => assistant.env["ASSISTANT_DATA_DIR"] ?? "";
const lockFile = (): string => join(dataDir(), "daemon.lock");

async function writeLock(holder: object): Promise<void> {
  await mkdir(dataDir(), { recursive: true, mode: 0o700 });
  await writeFile(lockFile(), JSON.stringify(holder));
}

test("a second serve says that it is running and changes nothing", async () => {
  await install();
  const url = await assistant.serve();
  const { pid } = await assistant.state();
  const second = await assistant.run(["serve"]);
  expect(second).toMatchObject({ exitCode: 0, stderr: "" });
  expect(second.stdout).toContain(`already running at ${url} (pid ${pid})`);
  expect((await assistant.state()).pid).toBe(pid);
});

test("of several serves at the same moment one starts the daemon, and nobody is told a lie", async () => {
  await install();
  const results = await Promise.all(Array.from({ length: 4 }, () => assistant.run(["serve", "--json"])));
  const { pid } = await assistant.state();
  for (const { exitCode, stdout, stderr } of results) {
    expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: expect.not.stringContaining("Error") });
    expect(JSON.parse(stdout)).toMatchObject({ pid });
  }
  expect(results.filter(({ stdout }) => (JSON.parse(stdout) as { started: boolean }).started)).toHaveLength(1);
  await eventually("one daemon alone is left", async () => (await processesNaming(assistant.root)).length === 1);
});

test("a daemon in the foreground beside a running one is refused with the running one's pid", async () => {
  await install();
  await assistant.serve();
  const { pid } = await assistant.state();
  const second = await assistant.run(["serve", "--foreground"]);
  expect(second.exitCode).toBe(1);
  expect(second.stderr).toContain(`Another daemon (pid ${pid}) already serves`);
  expect((await assistant.state()).pid).toBe(pid);
});

test("the lock of a killed daemon keeps nobody out", async () => {
  await install();
  await assistant.serve();
  const { pid } = await assistant.state();
  process.kill(pid, "SIGKILL");
  await eventually("it is gone", async () => !(await isRunning(pid)));
  expect(JSON.parse(await readFile(lockFile(), "utf8"))).toMatchObject({ pid });
  await assistant.serve();
  const { pid: next } = await assistant.state();
  expect(next).not.toBe(pid);
  expect(JSON.parse(await readFile(lockFile(), "utf8"))).toEqual({
    pid: next,
    startTime: await processStartTime(next),
  });
});

test("a lock whose pid went to another program fools neither serve nor stop", async () => {
  await install();
  // This test's own process stands in for the program that got the number.
  await writeLock({ pid: process.pid, startTime: `${await processStartTime(process.pid)}0` });
  const stop = await assistant.run(["stop", "--now"]);
  expect(stop.exitCode).toBe(0);
  expect(stop.stdout).toMatch(/not running|no daemon/i);
  await assistant.serve();
  expect((await assistant.state()).state).toBe("running");
  expect(await isRunning(process.pid)).toBe(true);
});

test("a daemon that stops takes its lock and its socket along", async () => {
  await install();
  await assistant.serve();
  expect((await assistant.run(["stop"])).exitCode).toBe(0);
  await expect(readFile(lockFile())).rejects.toThrow("ENOENT");
  await expect(assistant.state()).rejects.toThrow("ENOENT");
  await eventually("no process is left", async () => (await processesNaming(assistant.root)).length === 0, 2_000);
});
