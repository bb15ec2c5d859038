import { readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { eventually } from "../support/assistant.ts";
import { type FakeInstallation, installWithFake } from "../support/fake-daemon.ts";

let fake: FakeInstallation;
beforeEach(async () => {
  fake = await installWithFake();
});
afterEach(() => fake[Symbol.asyncDispose]());

const run = async (args: readonly string[], input?: string) => {
  const { exitCode, stdout, stderr } = await fake.spawn(["run", ...args], input);
  return { exitCode, stdout, stderr };
};

describe("one answer", () => {
  test("words need no quotes, and the answer alone is on stdout", async () => {
    await fake.start();
    expect(await run(["smollm2", "hello", "there"])).toEqual({
      exitCode: 0,
      stdout: "You said: hello there",
      stderr: "",
    });
  });

  test("standard input is the prompt, or is added to it", async () => {
    await fake.start();
    expect((await run(["smollm2"], "from a file\n")).stdout).toBe("You said: from a file");
    expect((await run(["smollm2", "Summarise:"], "the text")).stdout).toBe("You said: Summarise:||the text");
    expect(await run(["smollm2"])).toMatchObject({ exitCode: 2, stderr: expect.stringContaining("no prompt") });
  });

  test("options reach the request; what is not given is not sent", async () => {
    await fake.start();
    await run(["smollm2", "x", "--temperature", "0", "--seed", "7", "--max-tokens", "9", "--system", "Be brief."]);
    await run(["smollm2", "y"]);
    const [first, second] = (await fake.asked())
      .filter((line) => line.startsWith("chat {"))
      .map((line) => JSON.parse(line.slice(5)) as Record<string, unknown>);
    expect(first).toMatchObject({
      temperature: 0,
      seed: 7,
      max_tokens: 9,
      messages: [
        { role: "system", content: "Be brief." },
        { role: "user", content: "x" },
      ],
    });
    for (const key of ["temperature", "seed", "max_tokens"]) expect(second).not.toHaveProperty(key);
  });

  test("--verbose tells counts and speed, on stderr", async () => {
    await fake.start();
    const result = await run(["smollm2", "x", "--verbose"]);
    expect(result.stdout).toBe("You said: x");
    expect(result.stderr).toContain("eval rate:            100.00 tokens/s");
  });

  test("without a model the configured one answers", async () => {
    await fake.start();
    expect((await run([], "hi")).stdout).toBe("You said: hi");
  });

  test("with --json the answer is one object with its counts, and needs a prompt", async () => {
    await fake.start();
    const { stdout, stderr, exitCode } = await run(["smollm2", "hi", "--json"]);
    expect([exitCode, stderr]).toEqual([0, ""]);
    expect(JSON.parse(stdout)).toMatchObject({ model: "smollm2", text: "You said: hi", end: "complete" });
    const refused = await run(["smollm2", "--json"]);
    expect(refused.exitCode).toBe(2);
    expect(JSON.parse(refused.stdout)).toMatchObject({
      error: { message: "--json requires a prompt, and there is none." },
    });
  });

  test("a configuration is written where there is none, and said", async () => {
    await fake.start();
    const config = fake.assistant.env["ASSISTANT_CONFIG"] ?? "";
    await rm(config);
    const result = await run(["smollm2", "x"]);
    expect(result.stderr).toContain(`Wrote ${config}`);
    expect(await readFile(config, "utf8")).toContain("[server]");
  });

  test("Ctrl-C ends the answer at once, and the daemon hears of it", async () => {
    await fake.start({ FAKE_CHAT: "endless" });
    const child = fake.spawn(["run", "smollm2", "go"]);
    await eventually("an answer is under way", async () =>
      (await fake.asked()).some((line) => line.startsWith("chat {")),
    );
    await new Promise((resolve) => child.stdout?.once("data", resolve));
    child.kill("SIGINT");
    expect((await child).exitCode).toBe(130);
    await eventually("the request is gone", async () => (await fake.asked()).includes("chat left"));
  });

  test("a reader that has seen enough ends it quietly", async () => {
    await fake.start({ FAKE_CHAT: "endless" });
    const child = fake.spawn(["run", "smollm2", "go"]);
    await new Promise((resolve) => child.stdout?.once("data", resolve));
    child.stdout?.destroy();
    const result = await child;
    expect(result.stderr).toBe("");
    await eventually("the request is gone", async () => (await fake.asked()).includes("chat left"));
  });
});

describe("what goes wrong", () => {
  test("an unknown model: exit code 4 and the nearest name", async () => {
    await fake.start();
    expect(await run(["smolm2", "x"])).toMatchObject({ exitCode: 4, stderr: expect.stringContaining("`smollm2`") });
  });

  test("a refused request: the daemon's sentence and its exit code", async () => {
    await fake.start({ FAKE_CHAT: "refused" });
    expect(await run(["smollm2", "x"])).toMatchObject({
      exitCode: 2,
      stdout: "",
      stderr: expect.stringContaining("9000 tokens"),
    });
  });

  test("an answer that breaks off: what came is kept, and it is an error", async () => {
    await fake.start({ FAKE_CHAT: "broken" });
    const result = await run(["smollm2", "x"]);
    expect(result.exitCode).not.toBe(0);
    expect(result.stdout).toContain("You said:");
    expect(result.stderr).toMatch(/^Error: /mu);
  });

  test("a model whose own file is wrong: the mistake, and not that it is unknown", async () => {
    await fake.start();
    await fake.assistant.writeModel("broken", '[chat]\nmodel_name = "broken"\nsurce = "x"\n');
    const result = await run(["broken", "x"]);
    expect(result.exitCode).toBe(78);
    expect(result.stderr).toContain(join("models", "broken.toml"));
  });

  test("a wrong value of an option", async () => {
    expect(await run(["smollm2", "x", "--temperature", "hot"])).toMatchObject({
      exitCode: 2,
      stderr: expect.stringContaining("--temperature"),
    });
    expect(await run(["smollm2", "x", "--temprature", "1"])).toMatchObject({ exitCode: 2 });
  });
});
