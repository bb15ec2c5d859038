import { spawn } from "node:child_process";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, expect, test } from "vitest";
import { eventually, isRunning, packageRoot } from "../support/assistant.ts";
import { ask, type FakeInstallation, installFakes } from "../support/fake-installation.ts";
import { processesNaming } from "../support/processes.ts";

let assistant: FakeInstallation;
afterEach(() => assistant[Symbol.asyncDispose]());

test("no engine outlives a daemon that was killed, whatever it does or ignores, and the next serve works", async () => {
  const stubborn = { ignoreSigterm: true, holdPipe: true, toml: "" };
  assistant = await installFakes({
    models: {
      river: { knobs: { ignoreSigterm: stubborn.ignoreSigterm, holdPipe: stubborn.holdPipe }, toml: "preload = true" },
      loading: { knobs: { startDelayMs: 60_000 }, toml: "preload = true" },
    },
  });
  await assistant.serve();
  await assistant.ready("river");
  await eventually("both run", async () => (await assistant.livingEngines()).length === 2);
  process.kill((await assistant.state()).pid, "SIGKILL");
  // A process that is ending has no command line any more, and so is found by its pid alone.
  const left = async (): Promise<number> =>
    (await processesNaming(assistant.root)).length + (await assistant.livingEngines()).length;
  await eventually("no process of the installation is left", async () => (await left()) === 0, 5_000);

  const url = await assistant.serve();
  expect((await ask(url, "river", "hello")).status).toBe(200);
});

test("commands say that a killed daemon does not run", async () => {
  assistant = await installFakes({ models: { river: {} } });
  await assistant.serve();
  const { pid } = await assistant.state();
  process.kill(pid, "SIGKILL");
  await eventually("it is gone", async () => !(await isRunning(pid)));
  const status = await assistant.run(["status"]);
  expect(status.exitCode).toBe(3);
  expect(status.stdout).toContain("not running");
  expect(status.stdout).toMatch(/Ended: It ended unexpectedly at or after .* UTC\. Its log does not show why/);
  const json = await assistant.run(["status", "--json"]);
  expect(JSON.parse(json.stdout)).toMatchObject({ state: "stopped", unexpectedEnd: { pid, reason: null } });
  for (const command of ["ps", "task list"]) {
    const { exitCode, stderr } = await assistant.run(command.split(" "));
    expect([command, exitCode]).toEqual([command, 3]);
    expect(stderr.replaceAll(/\s+/g, " ")).toContain("The daemon is not running. It ended unexpectedly");
  }
  await assistant.serve();
  await assistant.run(["stop"]);
  const stopped = await assistant.run(["status", "--json"]);
  expect(JSON.parse(stopped.stdout)).toMatchObject({ state: "stopped", unexpectedEnd: null });
});

test("a daemon whose parent dies while it starts goes on", async () => {
  assistant = await installFakes({ models: { river: {} } });
  const parent = spawn(process.execPath, [join(packageRoot, "bin/assistant.js"), "serve"], {
    env: assistant.env,
    stdio: "ignore",
    detached: true,
  });
  const daemon = await eventually("the daemon has been spawned", async () => {
    const all = await processesNaming(assistant.root);
    for (const pid of all) {
      const line = await readFile(`/proc/${pid}/cmdline`, "latin1").catch(() => "");
      if (line.includes("daemon/main")) return pid;
    }
    return undefined;
  });
  // As a closed terminal does it: the whole group of the command.
  process.kill(-(parent.pid ?? 0), "SIGKILL");
  await eventually("it answers", async () => (await assistant.state().catch(() => null)) !== null);
  expect((await assistant.state()).pid).toBe(daemon);
  const { url } = await assistant.state();
  expect((await ask(url ?? "", "river", "hello")).status).toBe(200);
});
