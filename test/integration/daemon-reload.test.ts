import { readFile, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { eventually } from "../support/assistant.ts";
import { turnKnobs } from "../support/fake-engine.ts";
import { ask, type FakeInstallation, type FakeModel, fake, installFakes, open } from "../support/fake-installation.ts";

let assistant: FakeInstallation;
let url = "";
const end = async (): Promise<void> => assistant[Symbol.asyncDispose]();

/** With these models loaded, and `lake` at rest. */
async function start(...names: readonly string[]): Promise<void> {
  assistant = await installFakes({ models: Object.fromEntries([...names, "lake"].map((name) => [name, {}])) });
  url = await assistant.serve();
  await Promise.all(names.map((name) => ask(url, name, "wake up")));
}
const pidOf = async (name: string): Promise<number> => (await assistant.ready(name)).pid ?? 0;
const reloads = async (): Promise<number> => (await assistant.daemonLog()).split('"msg":"reloaded"').length - 1;
const errors = async () => (await assistant.state()).notices.filter(({ severity }) => severity === "error");
const edit = (name: string, model: FakeModel): Promise<void> => assistant.writeModel(name, assistant.toml(name, model));

/** A stream that is under way; `rest` is all of it once it has ended. */
async function underWay(name: string, tokens: number): Promise<{ rest: Promise<string> }> {
  const response = await open(url, name, `tell me ${fake({ tokens, decodeDelayMs: 20 })}`, { stream: true });
  const reader = (response.body as ReadableStream<Uint8Array>).pipeThrough(new TextDecoderStream()).getReader();
  const first = (await reader.read()).value ?? "";
  const rest = (async () => {
    let text = first;
    for (let part = await reader.read(); !part.done; part = await reader.read()) text += part.value;
    return text;
  })();
  return { rest };
}

describe("a daemon that runs on", () => {
  beforeAll(() => start("river"));
  afterAll(end);

  test("an edit that changes nothing that matters restarts nothing", async () => {
    const before = await reloads();
    const pid = await pidOf("river");
    await writeFile(join(assistant.modelDir, "river.toml"), `# a comment\n${assistant.toml("river")}\n`);
    await eventually("it was read again", async () => (await reloads()) > before);
    expect(await pidOf("river")).toBe(pid);
  });

  test("SIGHUP reads the configuration again, and a mistake changes nothing", async () => {
    const before = await reloads();
    const { pid } = await assistant.state();
    const engine = await pidOf("river");
    process.kill(pid, "SIGHUP");
    await eventually("it was read again", async () => (await reloads()) > before);
    const file = assistant.env["ASSISTANT_CONFIG"] ?? "";
    const good = await readFile(file, "utf8");
    await writeFile(file, "[scheduler\n");
    process.kill(pid, "SIGHUP");
    await eventually("it was refused", async () => (await assistant.daemonLog()).includes("reload refused"));
    expect(await assistant.daemonLog()).toContain(file);
    expect(await pidOf("river")).toBe(engine);
    expect((await ask(url, "river", "hello")).status).toBe(200);
    await writeFile(file, good);
    await eventually("it is mended", async () => (await errors()).length === 0);
  });

  test("a broken or missing config.toml changes nothing and shows in status until it is mended", async () => {
    const file = assistant.env["ASSISTANT_CONFIG"] ?? "";
    const good = await readFile(file, "utf8");
    await writeFile(file, `${good}\n[scheduler`);
    await eventually("it is reported", async () => (await errors()).some((notice) => notice.file === file));
    expect((await assistant.run(["status"])).stdout).toMatch(/error: \S+config\.toml:\d+: not valid TOML/);
    expect((await assistant.run(["reload"])).exitCode).toBe(78);
    await rm(file);
    await eventually("it is missed", async () =>
      (await errors()).some(({ message }) => message.includes("was removed")),
    );
    expect((await ask(url, "river", "hello")).status).toBe(200);
    await writeFile(file, good);
    await eventually("all is well", async () => (await errors()).length === 0);
  });

  test("settings that need a restart are named, whoever noticed the change first, until they are taken back", async () => {
    const before = await reloads();
    const file = assistant.env["ASSISTANT_CONFIG"] ?? "";
    const good = await readFile(file, "utf8");
    await writeFile(file, good.replace('http_addr = "127.0.0.1:0"', 'http_addr = "127.0.0.1:1"\nbody_limit_mib = 3'));
    await eventually("it was read", async () => (await reloads()) > before);
    expect((await assistant.state()).restartSettings).toEqual(["server.http_addr", "server.body_limit_mib"]);
    expect((await assistant.run(["status"])).stdout).toContain(
      "server.http_addr, server.body_limit_mib changed: `assistant restart` applies them",
    );
    const report = JSON.parse((await assistant.run(["reload", "--json"])).stdout) as Record<string, unknown>;
    expect(report).toMatchObject({
      restartNeeded: true,
      restartSettings: ["server.http_addr", "server.body_limit_mib"],
    });
    await writeFile(file, good);
    await eventually("nothing is needed", async () => (await assistant.state()).restartSettings?.length === 0);
  });

  test("an editor that replaces files by renaming is noticed", async () => {
    const before = await reloads();
    const file = join(assistant.modelDir, "river.toml");
    await writeFile(`${file}.swp`, assistant.toml("river", { slots: 3 }));
    await rename(`${file}.swp`, file);
    await eventually("it was read again", async () => (await reloads()) > before);
    await ask(url, "river", "hello");
    await eventually("the new slots", async () => (await assistant.ready("river")).slots === 3);
  });
});

describe("models that change", () => {
  beforeAll(() => start("river", "brook"));
  afterAll(end);

  test("a changed file restarts its model alone, after its running answers; the other keeps process and stream", async () => {
    const [river, brook] = [await pidOf("river"), await pidOf("brook")];
    const launches = [await assistant.launches("river"), await assistant.launches("brook")] as const;
    const riverSocket = (await assistant.ready("river")).endpoint ?? "";
    await turnKnobs(riverSocket, { hold: true });
    const streams = [await underWay("river", 50), await underWay("brook", 100)];
    await edit("river", { contextTokens: 1024 });
    // Watched, so that nobody has to say anything.
    await eventually("river drains", async () =>
      (await assistant.state()).instances.some(({ model, state }) => model === "river" && state === "draining"),
    );
    // Meanwhile a request for it waits and then gets the new one.
    const waiting = ask(url, "river", "after the change");
    await turnKnobs(riverSocket, { hold: false });
    for (const { rest } of streams) expect(await rest).toContain("[DONE]");
    expect((await waiting).status).toBe(200);
    const changed = await assistant.ready("river");
    expect(changed).toMatchObject({ contextTokens: 1024, lastDeath: { cause: "reload" } });
    expect(changed.pid).not.toBe(river);
    expect(await pidOf("brook")).toBe(brook);
    expect(await assistant.launches("brook")).toBe(launches[1]);
    expect(await assistant.launches("river")).toBe(launches[0] + 1);
  });

  test("quick edits one after the other start nothing twice", async () => {
    const launches = await assistant.launches("river");
    for (const contextTokens of [512, 768, 1024, 1280, 1536]) {
      await edit("river", { contextTokens });
      await new Promise((resolve) => setImmediate(resolve));
    }
    await eventually("the last one is in force", async () => {
      const instance = (await assistant.state()).instances.find(({ model }) => model === "river");
      return instance?.state === "absent" || instance?.contextTokens === 1536;
    });
    await ask(url, "river", "wake up");
    expect(await assistant.ready("river")).toMatchObject({ contextTokens: 1536 });
    expect(await assistant.launches("river")).toBe(launches + 1);
  });

  test("a new file adds a model, a removed one takes its model away after its running answers", async () => {
    await rm(join(assistant.modelDir, "brook.toml"));
    const { rest } = await underWay("brook", 60);
    await eventually("brook is unknown", async () => (await ask(url, "brook", "hello")).status === 404);
    expect(await rest).toContain("[DONE]");
    await eventually(
      "its instance is listed no longer",
      async () => !(await assistant.state()).instances.some(({ model }) => model === "brook"),
    );
    await edit("brook", {});
    await eventually("brook is back", async () => (await ask(url, "brook", "hello")).status === 200);
  });

  test("a mistake in one file keeps that model on its last good settings, is reported everywhere, and mending it brings the new ones", async () => {
    const [river, brook] = [await pidOf("river"), await pidOf("brook")];
    const file = join(assistant.modelDir, "river.toml");
    await assistant.writeModel("river", `${assistant.toml("river", { slots: 3 })}\nslotz = 3\n`);
    await eventually("it was read", async () => (await errors()).length > 0);
    expect(await errors()).toEqual([
      expect.objectContaining({
        severity: "error",
        file,
        message: expect.stringContaining("river keeps its last valid settings"),
      }),
    ]);
    expect((await ask(url, "river", "hello")).status).toBe(200);
    expect([await pidOf("river"), await pidOf("brook")]).toEqual([river, brook]);
    for (const command of ["status", "ps", "reload", "doctor"]) {
      const { exitCode, stdout } = await assistant.run([command]);
      expect([command, exitCode]).toEqual([command, { status: 0, ps: 0, reload: 78, doctor: 1 }[command]]);
      expect(stdout).toContain(`${file}:`);
      expect(stdout).toContain("river keeps its last valid settings until this is fixed");
    }
    expect(await pidOf("river")).toBe(river);
    await edit("river", { slots: 3 });
    await eventually(
      "the new slots",
      async () => (await ask(url, "river", "hello")).status === 200 && (await assistant.ready("river")).slots === 3,
    );
    expect(await errors()).toEqual([]);
    expect((await assistant.run(["reload"])).exitCode).toBe(0);
    expect(await pidOf("brook")).toBe(brook);
  });

  test("a model that is set to preload by an edit starts without a request", async () => {
    await edit("lake", { toml: "preload = true" });
    await assistant.ready("lake");
  });
});
