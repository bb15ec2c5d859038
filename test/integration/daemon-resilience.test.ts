import { mkdir, readdir, rm, stat, utimes, writeFile } from "node:fs/promises";
import { createConnection, type Socket } from "node:net";
import { dirname, join } from "node:path";
import { execa } from "execa";
import { afterEach, expect, test } from "vitest";
import { eventually, isRunning, packageRoot } from "../support/assistant.ts";
import { ask, type FakeInstallation, installFakes } from "../support/fake-installation.ts";
import { ggufPieces } from "../support/gguf-writer.ts";
import { childrenNaming } from "../support/processes.ts";

let assistant: FakeInstallation;
afterEach(() => assistant[Symbol.asyncDispose]());

const dataDir = (): string => assistant.env["ASSISTANT_DATA_DIR"] ?? "";

test("a deleted socket of the commands is not taken for a daemon that does not run, and comes back", async () => {
  assistant = await installFakes({ models: { river: {} } });
  await assistant.serve();
  const { pid } = await assistant.state();
  await rm(assistant.adminSocket);
  const status = await assistant.run(["status"]);
  expect(status.stdout + status.stderr).not.toContain("is not running");
  const again = await assistant.run(["serve"]);
  expect(again).toMatchObject({ exitCode: 0, stdout: expect.stringContaining(`(pid ${pid})`) });
  // With its directory, as a program that tidies up /tmp would.
  await rm(dirname(assistant.adminSocket), { recursive: true });
  await eventually(
    "the socket is there again",
    async () => (await stat(assistant.adminSocket).catch(() => null)) !== null,
  );
  expect((await assistant.state()).pid).toBe(pid);
});

test("a daemon that has run for a while and does not answer is named by `serve` and `status` at once", async () => {
  assistant = await installFakes({ models: { river: {} } });
  await assistant.serve();
  const { pid } = await assistant.state();
  process.kill(pid, "SIGSTOP");
  try {
    await rm(assistant.adminSocket);
    const past = new Date(Date.now() - 600_000);
    await utimes(join(dataDir(), "daemon.lock"), past, past);
    for (const command of ["serve", "status", "rm river --yes", "ps"]) {
      const begun = performance.now();
      const { exitCode, stderr } = await assistant.run(command.split(" "));
      expect([command, exitCode]).toEqual([command, 1]);
      expect(stderr).toContain(`The daemon (pid ${pid}) is running but does not respond`);
      expect(performance.now() - begun).toBeLessThan(10_000);
    }
    expect((await assistant.run(["list"])).exitCode).toBe(0);
  } finally {
    process.kill(pid, "SIGCONT");
  }
});

test("more connections than file descriptors end no daemon, and it answers when they are gone", async () => {
  assistant = await installFakes({ models: { river: {} } });
  const shell = `ulimit -n 200; exec ${process.execPath} ${join(packageRoot, "bin/assistant.js")} serve`;
  const started = await execa("sh", ["-c", shell], { env: assistant.env, extendEnv: false });
  expect(started.exitCode).toBe(0);
  const { pid, url } = await assistant.state();
  const port = Number(new URL(url ?? "").port);
  const sockets = Array.from(
    { length: 400 },
    (): Socket => createConnection({ port, host: "127.0.0.1" }).on("error", () => {}),
  );
  await new Promise((resolve) => setTimeout(resolve, 3_500));
  expect(await isRunning(pid)).toBe(true);
  expect(await assistant.state()).toMatchObject({ pid });
  for (const socket of sockets) socket.destroy();
  await eventually(
    "it answers",
    async () => (await ask(url ?? "", "river", "hello").catch(() => null))?.status === 200,
  );
});

test("a lock that is no file is named, and left alone", async () => {
  assistant = await installFakes({ models: {} });
  const lock = join(dataDir(), "daemon.lock");
  await mkdir(lock, { recursive: true });
  const { exitCode, stderr } = await assistant.run(["serve"]);
  expect(exitCode).toBe(1);
  expect(stderr).toContain(`The daemon's lock ${lock} is a directory; expected a file, or nothing.`);
  await rm(lock, { recursive: true });
  await writeFile(lock, "no JSON");
  expect((await assistant.run(["serve"])).exitCode).toBe(0);
});

test("a start that cannot write its lock leaves nothing of it behind", async () => {
  assistant = await installFakes({ models: {} });
  await mkdir(dataDir(), { recursive: true });
  // The name of the draft holds the pid, so that a shell in between has it: every write to /dev/full fails.
  const link = `ln -s /dev/full ${dataDir()}/daemon.lock.$$; exec ${process.execPath} ${join(packageRoot, "bin/assistant.js")} serve --foreground`;
  const { exitCode, stderr } = await execa("sh", ["-c", link], { env: assistant.env, extendEnv: false, reject: false });
  expect(exitCode).toBe(1);
  expect(stderr).toContain("disk is full");
  expect((await readdir(dataDir())).filter((name) => name.startsWith("daemon.lock"))).toEqual([]);
});

test("a daemon that makes estimates ends without waiting for them", async () => {
  assistant = await installFakes({ models: { river: {} } });
  // Of an empty file nothing is estimated.
  const header = ggufPieces(new Map([["general.architecture", { text: "llama" }]]), []);
  await writeFile(assistant.weights("river"), Buffer.concat(header));
  const daemon = execa(process.execPath, [join(packageRoot, "bin/assistant.js"), "serve", "--foreground"], {
    env: assistant.env,
    extendEnv: false,
    reject: false,
  });
  await eventually(
    "an estimate is being made",
    async () => (await childrenNaming(daemon.pid ?? -1, "estimate-program")).length > 0,
  );
  const begun = performance.now();
  daemon.kill("SIGTERM");
  expect((await daemon).exitCode).toBe(0);
  // Of the half second that an estimate takes, and many more on a busy machine, nothing is left.
  expect(performance.now() - begun).toBeLessThan(3_000);
});
