import { readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { eventually, packageRoot } from "../support/assistant.ts";
import { type FakeInstallation, installWithFake } from "../support/fake-daemon.ts";
import { openTerminal } from "../support/terminal.ts";

let fake: FakeInstallation;
beforeEach(async () => {
  fake = await installWithFake();
});
afterEach(() => fake[Symbol.asyncDispose]());

const open = (args: readonly string[], columns = 100, rows = 30, env: Record<string, string> = {}) =>
  openTerminal([process.execPath, join(packageRoot, "bin/assistant.js"), ...args], {
    env: { ...fake.assistant.env, ...env },
    columns,
    rows,
  });

describe("the chat in a terminal", () => {
  test("messages of several lines: marks, a backslash, Alt-Enter, a paste", async () => {
    await fake.start();
    await using terminal = await open(["run", "smollm2"]);
    await terminal.until(/>>>/u);
    await terminal.type('"""one');
    await terminal.press("Enter");
    await terminal.type('two"""');
    await terminal.press("Enter");
    await terminal.until(/You said: one\|two\n+>>>/u);
    await terminal.type("three\\");
    await terminal.press("Enter");
    await terminal.type("four");
    await terminal.press("M-Enter");
    await terminal.type("five");
    await terminal.press("Enter");
    await terminal.until(/You said: three\|four\|five\n+>>>/u);
    await terminal.type("\u001b[200~six\rseven\u001b[201~");
    await terminal.press("Enter");
    await terminal.until(/You said: six\|seven\n+>>>/u);
  });

  test("what was said is part of the next request until /clear, and /set system comes first", async () => {
    await fake.start();
    await using terminal = await open(["run", "smollm2"]);
    await terminal.until(/>>>/u);
    for (const line of ["/set system Rhyme.", "first", "second", "/clear", "third"]) {
      await terminal.type(line);
      await terminal.press("Enter");
      await terminal.until(new RegExp(`>>> ${line}\\n[\\s\\S]+\\n>>>\\s*$`, "u"));
    }
    const chats = (await fake.asked())
      .filter((line) => line.startsWith("chat {"))
      .map((line) => JSON.parse(line.slice(5)) as { messages: { role: string; content: string }[] });
    expect(chats.map((chat) => chat.messages.map((message) => message.content))).toEqual([
      ["Rhyme.", "first"],
      ["Rhyme.", "first", "You said: first", "second"],
      ["Rhyme.", "third"],
    ]);
  });

  test("Ctrl-C stops the answer and not the chat; twice at the prompt it leaves", async () => {
    await fake.start({ FAKE_CHAT: "endless" });
    await using terminal = await open(["run", "smollm2"]);
    await terminal.until(/>>>/u);
    await terminal.type("go");
    await terminal.press("Enter");
    await terminal.until(/again again/u);
    await terminal.press("C-c");
    await terminal.until(/\(stopped\)\n+>>>/u);
    await eventually("the request is gone", async () => (await fake.asked()).includes("chat left"));
    await terminal.type("half a line");
    await terminal.press("C-c");
    await terminal.press("C-c");
    await terminal.until(/Press Ctrl-C again/u);
    await terminal.press("C-c");
    await terminal.until(/\[exit 0\]/u);
  });

  test("lines are remembered from one chat to the next, for their writer alone; Ctrl-D leaves", async () => {
    await fake.start();
    {
      await using terminal = await open(["run", "smollm2"]);
      await terminal.until(/>>>/u);
      await terminal.type("remember me");
      await terminal.press("Enter");
      await terminal.until(/You said: remember me\n+>>>/u);
      await terminal.press("C-d");
      await terminal.until(/\[exit 0\]/u);
    }
    const file = join(fake.assistant.root, "data/run-history");
    expect(await readFile(file, "utf8")).toBe("remember me\n");
    expect((await stat(file)).mode & 0o077).toBe(0);
    await using terminal = await open(["run", "smollm2"]);
    await terminal.until(/>>>/u);
    await terminal.press("Up");
    await terminal.until(/>>> remember me/u);
  });
});

describe("ps in a terminal", () => {
  test("stops an instance after a yes, and leaves at q", async () => {
    await fake.start();
    await using terminal = await open(["ps"], 120, 30);
    await terminal.until(/smollm2@cpu +ready/u);
    await terminal.press("x");
    await terminal.until(/Stop smollm2@cpu\?/u);
    await terminal.press("y");
    await terminal.until(/No model is loaded/u);
    expect(await fake.asked()).toEqual(["stop smollm2@cpu"]);
    await terminal.press("q");
    await terminal.until(/\[exit 0\]/u);
  });

  test("says that the daemon has gone, and goes on when it is back", async () => {
    const daemon = await fake.start();
    await using terminal = await open(["ps"], 60, 16);
    await terminal.until(/smollm2@cpu +ready/u);
    daemon.kill("SIGTERM");
    await terminal.until(/not running/u);
    await fake.start();
    const screen = await terminal.until(/· up \d/u);
    for (const line of screen.split("\n")) expect(line.length).toBeLessThanOrEqual(60);
  });

  test.each(["true", "false"])("is live in a terminal whose environment says CI=%s", async (ci) => {
    await fake.start();
    await using terminal = await open(["ps"], 100, 30, { CI: ci });
    await terminal.until(/smollm2@cpu +ready/u);
    await terminal.press("q");
    await terminal.until(/\[exit 0\]/u);
  });

  test("shows the log of an instance", async () => {
    await fake.start();
    await using terminal = await open(["ps"]);
    await terminal.until(/smollm2@cpu +ready/u);
    await terminal.press("l");
    await terminal.until(/model loaded/u);
  });
});
