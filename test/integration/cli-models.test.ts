import { afterEach, expect, test } from "vitest";
import { type FakeInstallation, installFakes } from "../support/fake-installation.ts";

let assistant: FakeInstallation;
afterEach(() => assistant[Symbol.asyncDispose]());

const instance = async (model: string) => (await assistant.state()).instances.find((entry) => entry.model === model);

test("load, restart and stop act on one model, by name or alias, and return when it has happened", async () => {
  assistant = await installFakes({ models: { river: { toml: 'aliases = ["stream"]' }, brook: {} } });
  await assistant.serve();
  expect(await assistant.run(["load", "stream"])).toMatchObject({ exitCode: 0, stdout: "Loaded river (river@cpu)." });
  const first = (await instance("river"))?.pid;
  expect(first).toBeGreaterThan(0);
  expect(await assistant.run(["restart", "river", "--json"])).toMatchObject({
    exitCode: 0,
    stdout: expect.stringContaining('"river@cpu"'),
  });
  expect((await assistant.ready("river")).pid).not.toBe(first);
  expect(await assistant.run(["stop", "river"])).toMatchObject({
    exitCode: 0,
    stdout: "Stopped river. The next request loads it again.",
  });
  expect((await instance("river"))?.pid ?? null).toBeNull();
  expect(await assistant.run(["stop", "rivr"])).toMatchObject({
    exitCode: 4,
    stderr: expect.stringContaining("Did you mean river?"),
  });
  expect(await assistant.launches("brook")).toBe(0);
  expect((await assistant.state()).state).toBe("running");
});

test("a load that fails says why, with the exit code of a failure", async () => {
  assistant = await installFakes({
    models: { river: { knobs: { exitAtStart: 1, exitText: "error: no such tensor" } } },
  });
  await assistant.serve();
  const { exitCode, stderr } = await assistant.run(["load", "river"]);
  expect(exitCode).toBe(1);
  expect(stderr).toMatch(/river could not be loaded: .*no such tensor/);
});

test("restart without a model is another daemon, which is started too where none ran", async () => {
  assistant = await installFakes({ models: { river: {} } });
  expect(await assistant.run(["restart"])).toMatchObject({
    exitCode: 0,
    stdout: expect.stringContaining("Assistant is running at"),
  });
  const { pid } = await assistant.state();
  expect((await assistant.run(["restart"])).exitCode).toBe(0);
  expect((await assistant.state()).pid).not.toBe(pid);
  expect(JSON.parse((await assistant.run(["version", "--json"])).stdout)).toMatchObject({
    version: expect.any(String),
    daemon: expect.any(String),
  });
});

test("logs as JSON, and wrong arguments in our words", async () => {
  assistant = await installFakes({ models: { river: {} } });
  await assistant.serve();
  const { lines } = JSON.parse((await assistant.run(["logs", "--json"])).stdout) as { lines: { msg: string }[] };
  expect(lines.map(({ msg }) => msg)).toContain("ready");
  expect(await assistant.run(["logs", "-n", "x"])).toMatchObject({
    exitCode: 2,
    stderr: expect.stringContaining("`--lines`: expected an integer, found `x`."),
  });
  expect(await assistant.run(["load"])).toMatchObject({
    exitCode: 2,
    stderr: expect.stringContaining("MODEL is missing: name or alias"),
  });
});
