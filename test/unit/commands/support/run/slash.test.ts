import { describe, expect, test } from "vitest";
import { helpLines, parseSlash } from "../../../../../commands/support/run/slash.ts";

describe("chat commands", () => {
  test.each([
    ["/bye", { type: "bye" }],
    ["  /exit ", { type: "bye" }],
    ["/clear", { type: "clear" }],
    ["/?", { type: "help", topic: "all" }],
    ["/help shortcuts", { type: "help", topic: "shortcuts" }],
    ["/? /set", { type: "help", topic: "set" }],
    ["/set system You are a poet.", { type: "system", text: "You are a poet." }],
    ['/set system "quoted"', { type: "system", text: "quoted" }],
    ["/set system first\nsecond", { type: "system", text: "first\nsecond" }],
    ["/set system", { type: "system", text: null }],
    ["/set parameter temperature 0.5", { type: "parameter", name: "temperature", value: 0.5 }],
    ["/set parameter num_predict 20", { type: "parameter", name: "maxTokens", value: 20 }],
    ["/set parameter seed", { type: "parameter", name: "seed", value: null }],
    ["/set verbose", { type: "verbose", on: true }],
    ["/set quiet", { type: "verbose", on: false }],
    ["/show", { type: "show" }],
  ])("%j", (line, command) => {
    expect(parseSlash(line)).toEqual(command);
  });

  test.each(["hello", "/etc/hosts is a file", "what is /bye", "", "/", "/* a comment */", "/** of a function"])(
    "%j is a message",
    (line) => {
      expect(parseSlash(line)).toBeNull();
    },
  );

  test.each(["/bye\nis what I typed", "/**\n * Adds.\n */", "/clear\n/bye", "/set parameter seed\n1", "/api\nfails"])(
    "%j is a message, because only a system message has several lines",
    (line) => {
      expect(parseSlash(line)).toBeNull();
    },
  );

  test.each([
    ["/claer", /did you mean \/clear/u],
    ["/set parameter temprature 1", /temperature, seed/u],
    ["/set parameter temperature hot", /number from 0 on/u],
    ["/set parameter seed 1.5", /whole number/u],
    ["/set colour", /\/set system TEXT/u],
  ])("%j is a mistake that says what was expected", (line, message) => {
    const command = parseSlash(line);
    expect(command).toMatchObject({ type: "mistake", message: expect.stringMatching(message) });
  });

  test("the help names every command", () => {
    const text = helpLines("all").join("\n");
    for (const command of ["/bye", "/clear", "/show", "/set system", "/set parameter", "/set verbose", '"""', "Ctrl-C"])
      expect(text).toContain(command);
  });
});
