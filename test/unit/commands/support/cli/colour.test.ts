import { WriteStream } from "node:tty";
import { expect, test } from "vitest";
import { showsColour } from "../../../../../commands/support/cli/colour.ts";

/** What Node makes of an environment for a terminal. */
const terminal = (env: Record<string, string>) => ({
  isTTY: true,
  hasColors: () => Reflect.apply(WriteStream.prototype.hasColors, WriteStream.prototype, [env]) as boolean,
});

test("a terminal shows colours", () => {
  expect(showsColour(terminal({ TERM: "xterm-256color" }))).toBe(true);
});

test.each([{ TERM: "xterm-256color", NO_COLOR: "1" }, { TERM: "dumb" }])("none are shown with %j", (env) => {
  expect(showsColour(terminal(env))).toBe(false);
});

test("a file or a pipe has none", () => {
  expect(showsColour({ isTTY: false })).toBe(false);
});
