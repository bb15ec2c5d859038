import { expect, test } from "vitest";
import { formatLogLine } from "../../../../../commands/support/logs/format.ts";

test("time, level, message and fields", () => {
  const line = JSON.stringify({
    level: 40,
    time: 1_700_000_000_123,
    msg: "request",
    id: "req_1",
    end: "a b",
    err: { message: "gone", stack: "…" },
  });
  expect(formatLogLine(line, false)).toMatch(
    /^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.123 warn {2}request id=req_1 end="a b" err="gone"$/u,
  );
});

test("lines that are not the log's own stay as they are", () => {
  for (const line of ["plain text", "{broken", '{"no":"level"}', ""]) expect(formatLogLine(line, true)).toBe(line);
});

test("colour only where it is wanted", () => {
  const line = JSON.stringify({ level: 30, time: 0, msg: "x" });
  expect(formatLogLine(line, false)).not.toContain("\u001b");
  expect(formatLogLine(line, true)).toContain("\u001b[36m");
});
