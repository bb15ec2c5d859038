import { chmod, mkdir, writeFile } from "node:fs/promises";
import { createServer, type Server } from "node:net";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { eventually } from "../support/assistant.ts";
import { type FakeInstallation, installFakes } from "../support/fake-installation.ts";
import { processesNaming } from "../support/processes.ts";

let assistant: FakeInstallation;
let taken: Server | null = null;
beforeEach(async () => {
  assistant = await installFakes({ models: { river: { toml: "preload = true" } } });
});
afterEach(async () => {
  taken?.close();
  taken = null;
  await assistant[Symbol.asyncDispose]();
});

/** Both ways to start must tell the same, and leave nothing that runs. */
async function refusedStarts(env: Record<string, string> = {}): Promise<{ exitCode: number; said: string }[]> {
  const results: { exitCode: number; said: string }[] = [];
  for (const args of [["serve"], ["serve", "--foreground"]]) {
    const { exitCode, stdout, stderr } = await assistant.run(args, { env: { ...assistant.env, ...env } });
    results.push({ exitCode, said: `${stdout}\n${stderr}` });
    await eventually(
      `nothing runs after ${args.join(" ")}`,
      async () => (await processesNaming(assistant.root)).length === 0,
      5_000,
    );
    expect(await assistant.launches("river"), "engines of a start that was refused").toBe(0);
  }
  return results;
}

async function takePort(): Promise<number> {
  const server = createServer();
  taken = server;
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("no port");
  return address.port;
}

test("a port that is taken is named, and the daemon does not stay", async () => {
  const port = await takePort();
  for (const { exitCode, said } of await refusedStarts({ ASSISTANT_HTTP_ADDR: `127.0.0.1:${port}` })) {
    expect(said).toContain(`Another program listens on 127.0.0.1:${port}.`);
    expect(said).toContain("http_addr");
    expect(exitCode).toBe(1);
  }
  // What was refused keeps nobody out.
  await assistant.serve();
});

test("the port of one model that is taken is named too", async () => {
  const port = await takePort();
  await writeFile(
    join(assistant.modelDir, "river.toml"),
    `${assistant.toml("river")}\n[server]\nsocket_addr = "127.0.0.1:${port}"\n`,
  );
  for (const { exitCode, said } of await refusedStarts()) {
    expect(said).toContain(`Another program listens on 127.0.0.1:${port}.`);
    expect(exitCode).toBe(1);
  }
});

// Modes do not hold for root, so what cannot be written lies below a file, or in a file system that is the kernel's
// own.
test.each([
  ["below a file", (root: string) => join(root, "file", "data")],
  ["in a place that takes no files", () => "/sys/assistant-data"],
])("a data directory %s is named with the reason", async (_where, pathIn) => {
  await writeFile(join(assistant.root, "file"), "");
  const dataDir = pathIn(assistant.root);
  for (const { exitCode, said } of await refusedStarts({ ASSISTANT_DATA_DIR: dataDir })) {
    expect(said).toContain(dataDir);
    expect(said).toMatch(/cannot be written/);
    expect(said).toContain("ASSISTANT_DATA_DIR");
    expect(said).not.toMatch(/\n\s+at /);
    expect(exitCode).toBe(1);
  }
});

test("a log directory that cannot be made is named with the reason", async () => {
  const dataDir = assistant.env["ASSISTANT_DATA_DIR"] ?? "";
  await mkdir(dataDir, { mode: 0o700 });
  await writeFile(join(dataDir, "log"), "");
  for (const { exitCode, said } of await refusedStarts()) {
    expect(said).toContain(`The log directory ${join(dataDir, "log")} cannot be written`);
    expect(said).not.toMatch(/\n\s+at /);
    expect(exitCode).toBe(1);
  }
});

test("a directory of sockets that others may enter is refused", async () => {
  const runDir = join(assistant.env["ASSISTANT_DATA_DIR"] ?? "", "run");
  await mkdir(runDir, { recursive: true, mode: 0o777 });
  await chmod(runDir, 0o755);
  for (const { exitCode, said } of await refusedStarts()) {
    expect(said).toContain(`${runDir} lets others in (mode 755)`);
    expect(exitCode).toBe(1);
  }
});

test("a mistake of the configuration stops the start with file, line, key and the nearest name", async () => {
  const file = assistant.env["ASSISTANT_CONFIG"] ?? "";
  await writeFile(file, '[server]\nhttp_addr = "127.0.0.1:0"\n\n[scheduler]\nmax_instanecs = 4\n');
  for (const { exitCode, said } of await refusedStarts()) {
    expect(said).toContain(`${file}:5`);
    expect(said).toContain("max_instanecs");
    expect(said).toContain("max_instances");
    expect(exitCode).toBe(78);
  }
});

test("a mistake in one model's file leaves out that model alone, and says where", async () => {
  const broken = join(assistant.modelDir, "broken.toml");
  await writeFile(broken, '[chat]\nmodel_name = "broken"\nsource = "/nowhere.gguf"\nctx_siez = 100\n');
  const started = await assistant.run(["serve"]);
  expect(started.exitCode).toBe(0);
  expect(started.stdout).toContain(`${broken}:4`);
  expect(started.stdout).toContain("ctx_size");
  const { models, notices } = await assistant.state();
  expect(models.map((model) => model.name)).toEqual(["river"]);
  expect(notices).toContainEqual(expect.objectContaining({ severity: "error", file: broken, line: 4 }));
  await assistant.ready("river");
});
