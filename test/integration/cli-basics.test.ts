import { join } from "node:path";
import { execa } from "execa";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { eventually, isRunning, packageRoot } from "../support/assistant.ts";
import { type FakeInstallation, installWithFake } from "../support/fake-daemon.ts";

let fake: FakeInstallation;
beforeEach(async () => {
  fake = await installWithFake();
});
afterEach(() => fake[Symbol.asyncDispose]());

describe("without a daemon", () => {
  test("status says so with exit code 3, as systemctl does", async () => {
    const plain = await fake.assistant.run(["status"]);
    expect(plain).toMatchObject({ exitCode: 3, stdout: expect.stringContaining("not running") });
    const json = await fake.assistant.run(["status", "--json"]);
    expect(json.exitCode).toBe(3);
    expect(JSON.parse(json.stdout)).toMatchObject({ state: "stopped" });
  });

  test.each([["ps"], ["reload"], ["logs", "smollm2"]])(
    "%s %s says how to start it, with exit code 3 and no stack",
    async (...args) => {
      const result = await fake.assistant.run(args);
      expect(result).toMatchObject({ exitCode: 3, stdout: "" });
      expect(result.stderr).toContain("assistant serve");
      expect(result.stderr).not.toMatch(/^\s+at /mu);
    },
  );

  test("an output that cannot be written is an error in a sentence", async () => {
    const { env } = fake.assistant;
    const command = [process.execPath, join(packageRoot, "bin/assistant.js"), "status"];
    const result = await execa("sh", ["-c", 'exec "$@" > /dev/full', "sh", ...command], { env, reject: false });
    expect(result).toMatchObject({ exitCode: 1, stderr: expect.stringContaining("no space left") });
    expect(result.stderr).not.toMatch(/^\s+at /mu);
  });

  test("stopping what is stopped is fine", async () => {
    expect(await fake.assistant.run(["stop"])).toMatchObject({ exitCode: 0, stdout: "The daemon was not running." });
  });
});

describe("a command line that does not fit", () => {
  test("an unknown command names the nearest", async () => {
    const result = await fake.assistant.run(["stauts"]);
    expect(result).toMatchObject({ exitCode: 2, stderr: expect.stringContaining("`assistant status`") });
    expect(await fake.assistant.run(["engine", "bild"])).toMatchObject({
      exitCode: 2,
      stderr: expect.stringContaining("`assistant engine build`"),
    });
  });

  test("an unknown option is a usage error, with --json as JSON", async () => {
    expect(await fake.assistant.run(["status", "--nope"])).toMatchObject({
      exitCode: 2,
      stderr: expect.stringContaining("--nope"),
    });
    const json = await fake.assistant.run(["status", "--nope", "--json"]);
    expect(JSON.parse(json.stdout)).toMatchObject({ error: { code: "usage", remedy: expect.any(String) } });
    expect(json.stderr).toBe("");
  });

  test("help names every command, --version the version", async () => {
    const help = await fake.assistant.run(["--help"]);
    for (const command of ["serve", "stop", "status", "ps", "logs", "run", "doctor", "reload", "init", "engine"])
      expect(help.stdout).toMatch(new RegExp(`^ {2}${command} `, "mu"));
    for (const argument of ["--version", "-v", "version"])
      expect((await fake.assistant.run([argument])).stdout).toMatch(/^assistant \d+\.\d+\.\d+$/u);
  });

  test("what commands share is no command", async () => {
    for (const argument of ["--help", "autocomplete"])
      expect((await fake.assistant.run([argument])).stdout).not.toContain("support");
    expect(await fake.assistant.run(["support", "progress"])).toMatchObject({
      exitCode: 2,
      stderr: expect.stringContaining("no command `support`"),
    });
  });

  test("an old Node gets a sentence", async () => {
    const older = `data:text/javascript,Object.defineProperty(process,"versions",{value:{...process.versions,node:"20.1.0"}})`;
    const result = await execa(process.execPath, ["--import", older, join(packageRoot, "bin/assistant.js"), "status"], {
      reject: false,
    });
    expect(result).toMatchObject({ exitCode: 1, stderr: expect.stringContaining("Node.js 24 or newer") });
  });
});

describe("with a daemon", () => {
  test("status, ps and reload print for people and for programs", async () => {
    await fake.start();
    expect((await fake.assistant.run(["status"])).stdout).toContain("the daemon is running");
    expect((await fake.assistant.status()).instances).toHaveLength(1);
    const ps = await fake.assistant.run(["ps"]);
    expect(ps.stdout).toMatch(/^smollm2@cpu +ready/mu);
    expect(ps.stdout).not.toContain("\u001b");
    expect(JSON.parse((await fake.assistant.run(["ps", "--json"])).stdout)).toMatchObject({ state: "running" });
    const reload = await fake.assistant.run(["reload"]);
    expect(reload.stdout).toContain("Added: fresh");
    expect(await fake.asked()).toContain("reload");
  });

  test("logs: the daemon's made readable, an engine's as it is, and an unknown name's nearest", async () => {
    await fake.start();
    expect((await fake.assistant.run(["logs"])).stdout).toMatch(/ info {2}daemon started url=http/u);
    expect((await fake.assistant.run(["logs", "--raw"])).stdout).toMatch(/^\{"level":30/u);
    expect((await fake.assistant.run(["logs", "smollm2@cpu", "-n", "1"])).stdout).toBe("model loaded");
    expect((await fake.assistant.run(["logs", "default", "-n", "1"])).stdout).toBe("model loaded");
    expect(await fake.assistant.run(["logs", "smolm2"])).toMatchObject({
      exitCode: 4,
      stderr: expect.stringContaining("`smollm2`"),
    });
  });

  test("stop waits for the end of the process, and passes --now on", async () => {
    const daemon = await fake.start();
    const result = await fake.assistant.run(["stop", "--now"]);
    expect(result.stdout).toMatch(/^Stopped the daemon \(pid \d+\)/u);
    expect(await isRunning(daemon.pid ?? 0)).toBe(false);
    await eventually("its exit code is here", () => daemon.exitCode !== null);
    expect(daemon.exitCode).toBe(0);
    expect(await fake.asked()).toContain('shutdown {"now":true}');
  });
});
