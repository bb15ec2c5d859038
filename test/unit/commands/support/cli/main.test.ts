import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { commandFile, normaliseArguments, unknownCommand } from "../../../../../commands/support/cli/main.ts";

describe("arguments", () => {
  test("--model-config alone prints what init would write", () => {
    expect(normaliseArguments(["--model-config"])).toEqual(["init", "--model-config", "--stdout"]);
    expect(normaliseArguments(["--model-config", "tuna"])).toEqual(["init", "--model-config", "tuna", "--stdout"]);
  });

  test("--conversation of run needs no id, and takes none that is no id", () => {
    const begins = "--conversation=new";
    expect(normaliseArguments(["run", "--conversation"])).toEqual(["run", begins]);
    expect(normaliseArguments(["run", "--conversation", "tuna", "hi"])).toEqual(["run", begins, "tuna", "hi"]);
    const known = ["run", "--conversation", "conv_0123456789ab", "tuna"];
    expect(normaliseArguments(known)).toEqual(known);
    expect(normaliseArguments(["task", "--conversation"])).toEqual(["task", "--conversation"]);
  });

  test("-h asks for help, but not inside a prompt or behind --", () => {
    expect(normaliseArguments(["engine", "list", "-h"])).toEqual(["engine", "list", "--help"]);
    expect(normaliseArguments(["run", "m", "a", "b", "-h"])).toEqual(["run", "m", "a", "b", "-h"]);
    expect(normaliseArguments(["run", "--", "-h"])).toEqual(["run", "--", "-h"]);
    expect(normaliseArguments(["ls", "-h"])).toEqual(["list", "--help"]);
    expect(normaliseArguments(["run", "ls"])).toEqual(["run", "ls"]);
  });
});

describe("the command's file", () => {
  let folder: string;
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), "assistant-commands-"));
    await Promise.all(["engine", "support"].map((name) => mkdir(join(folder, name))));
    await Promise.all(
      ["status.js", "engine/list.js", "support/progress.js"].map((file) => writeFile(join(folder, file), "")),
    );
  });
  afterEach(() => rm(folder, { recursive: true }));

  test.each([
    [["status", "--json"], "status.js"],
    [["status", "extra"], "status.js"],
    [["engine", "list"], "engine/list.js"],
    [["engine"], null],
    [["engine", "bild"], null],
    [["--help"], null],
    [["../status"], null],
    [["support", "progress"], null],
    [[], null],
  ])("%j is %s", (args, file) => {
    expect(commandFile(args, folder)).toBe(file);
  });
});

test("an unknown command names the nearest ones, written as they are typed", () => {
  const error = unknownCommand("engine bild", ["engine:build", "engine:list", "status"]);
  expect(error.exitCode).toBe(2);
  expect(error.message).toContain("`engine bild`");
  expect(error.remedy).toContain("`assistant engine build`");
  expect(unknownCommand("xyzzy", ["status"]).remedy).toBe("`assistant help` lists all commands.");
});
