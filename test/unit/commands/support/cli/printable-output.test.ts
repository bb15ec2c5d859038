import { Command } from "@oclif/core";
import { afterEach, expect, test, vi } from "vitest";
import { BaseCommand } from "../../../../../commands/support/cli/base-command.ts";
import { showProgress } from "../../../../../commands/support/cli/progress.ts";
import { reportText } from "../../../../../commands/support/cli/report.ts";
import { doctorText } from "../../../../../commands/support/doctor/text.ts";
import { formatLogLine } from "../../../../../commands/support/logs/format.ts";
import { WordWrap } from "../../../../../commands/support/run/word-wrap.ts";
import { AssistantError } from "../../../../../src/core/errors.ts";
import { auditText } from "../../../../../src/ui/keys-text.ts";
import { statusText } from "../../../../../src/ui/status-text.ts";
import { fakeModel, fakeStatus } from "../../../../fakes/status.ts";

const EVIL = "x\u001b]0;y\u0007";
const SHOWN = "x\\u001b]0;y\\u0007";

class Print extends BaseCommand {
  async run(): Promise<void> {
    this.log(EVIL);
  }
}

afterEach(() => {
  vi.restoreAllMocks();
  vi.useRealTimers();
});

test("what a command prints", async () => {
  const printed = vi.spyOn(Command.prototype, "log").mockImplementation(() => {});
  await new Print([], {} as never).run();
  expect(printed).toHaveBeenCalledWith(SHOWN);
});

test("the target of a change, which stays on its line", () => {
  const entry = {
    at: 0,
    actor: "a",
    via: "http",
    action: "b",
    target: `${EVIL}\nz`,
    status: 200,
    requestId: null,
  } as const;
  expect(auditText([entry]).join("\n").split("\n")).toHaveLength(2);
  expect(auditText([entry]).at(-1)).toContain(`${SHOWN}\\nz`);
});

const withoutColours = (text: string): string => text.replace(/\p{Cc}\[\d+m/gu, "");

test("a status with colours", () => {
  const text = statusText(fakeStatus({ models: [fakeModel({ error: EVIL })], hints: [EVIL] }), true).join("\n");
  expect(withoutColours(text)).not.toMatch(/(?!\n)\p{Cc}/u);
  expect(text.split(SHOWN)).toHaveLength(3);
});

test("findings with colours", () => {
  const finding = { area: "models", level: "broken", subject: "s", found: EVIL, remedy: EVIL } as never;
  const text = doctorText([finding], true).join("\n");
  expect(withoutColours(text)).not.toMatch(/(?!\n)\p{Cc}/u);
  expect(text.split(SHOWN)).toHaveLength(3);
});

test("lines of a log", () => {
  const line = JSON.stringify({ level: 30, time: 0, msg: EVIL, path: EVIL });
  expect(withoutColours(formatLogLine(line, true))).not.toMatch(/(?!\n)\p{Cc}/u);
  expect(formatLogLine(EVIL, false)).toBe(SHOWN);
});

test("an error", () => {
  const error = new AssistantError("internal", EVIL, { remedy: EVIL });
  expect(withoutColours(reportText(error, { colour: true, debug: false }))).toContain(`Error: ${SHOWN}\n${SHOWN}\n`);
});

test("a wait", () => {
  vi.useFakeTimers();
  const written: string[] = [];
  using _ = showProgress({ write: (text) => written.push(text) }, EVIL, () => Date.now());
  vi.advanceTimersByTime(1_500);
  expect(written).toEqual([`${SHOWN} (1 s)\n`]);
});

test("an answer on a terminal", () => {
  const written: string[] = [];
  new WordWrap({ write: (text) => written.push(text) }).write(EVIL);
  expect(written.join("")).toBe(SHOWN);
});
