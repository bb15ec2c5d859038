import { describe, expect, test } from "vitest";
import { exitCodeOf, reportJson, reportText, toReportable } from "../../../../../commands/support/cli/report.ts";
import { AssistantError } from "../../../../../src/core/errors.ts";

const oclifError = (message: string, exit: number): Error => Object.assign(new Error(message), { oclif: { exit } });

describe("errors of a command", () => {
  test("message and remedy, a line each, and no stack", () => {
    const error = new AssistantError("daemon_not_running", "The daemon is not running.", { remedy: "Start it." });
    expect(reportText(error, { colour: false, debug: false })).toBe("Error: The daemon is not running.\nStart it.\n");
    expect(reportJson(error)).toEqual({
      error: { code: "daemon_not_running", message: "The daemon is not running.", remedy: "Start it." },
    });
  });

  test("with debug the stack and the cause are shown", () => {
    const error = new AssistantError("internal", "odd", { cause: new Error("the reason") });
    const text = reportText(error, { colour: false, debug: true });
    expect(text).toContain("report.test.ts");
    expect(text).toContain("caused by Error: the reason");
  });

  test("complaints of the parser are usage errors with exit code 2", () => {
    const error = toReportable(oclifError("Nonexistent flag: --foo\nSee more help with --help", 2));
    expect(error).toMatchObject({ code: "usage", exitCode: 2, message: "There is no option `--foo`." });
  });

  test.each([
    [
      "Missing 1 required arg:\nreference  catalog name, or\n           a path",
      "REFERENCE is missing: catalog name, or a path.",
    ],
    ["Flag --name expects a value", "`--name` needs a value."],
    ["Parsing --lines \n\tExpected an integer but received: abc", "`--lines`: expected an integer, found `abc`."],
    [
      "Parsing --lines \n\tExpected an integer greater than or equal to 0 but received: -3",
      "`--lines`: expected an integer of at least 0, found `-3`.",
    ],
    ["Expected --for=z to be one of: latency, throughput", "`--for`: expected one of latency, throughput, found `z`."],
    [
      "The following error occurred:\n  All of the following must be provided when using --source: --model-config",
      "`--source` is only used with `--model-config`.",
    ],
    [
      "The following error occurred:\n  --force=true cannot also be provided when using --stdout",
      "`--force` and `--stdout` exclude each other.",
    ],
    ["Unexpected arguments: a, b", "There is an argument too many: `a` and `b`."],
  ])("the parser's complaint %j in our words", (complaint, expected) => {
    expect(toReportable(oclifError(`${complaint}\nSee more help with --help`, 2)).message).toBe(expected);
  });

  test("an option that does not exist names the nearest", () => {
    const error = Object.assign(oclifError("Nonexistent flag: --temprature", 2), { flags: ["--temprature"] });
    expect(toReportable(error, ["temperature", "seed"]).remedy).toMatch(/^Did you mean `--temperature`\?/u);
  });

  test("anything else is internal, exit code 70, and asks for a report", () => {
    const error = toReportable(new TypeError("x is not a function"));
    expect(error.exitCode).toBe(70);
    expect(reportText(error, { colour: false, debug: false })).toContain("ASSISTANT_DEBUG=1");
  });

  test("this.exit(n) is a code and no error", () => {
    expect(exitCodeOf(oclifError("EEXIT: 130", 130))).toBe(130);
    expect(exitCodeOf(oclifError("Missing argument", 2))).toBeNull();
    expect(exitCodeOf(null)).toBeNull();
  });
});
