import { mkdir, mkdtemp, rm, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { unexpectedEnd, withUnexpectedEnd } from "../../../src/client/unexpected-end.ts";
import { acquireLock } from "../../../src/core/daemon-lock.ts";
import { AssistantError } from "../../../src/core/errors.ts";
import { processStartTime } from "../../../src/core/process.ts";

const STARTED = Date.UTC(2026, 10, 30, 7, 0, 0);
let dataDir: string;
let logDir: string;
beforeEach(async () => {
  dataDir = await mkdtemp(join(tmpdir(), "assistant-end-"));
  logDir = join(dataDir, "logs");
  await mkdir(logDir);
});
afterEach(() => rm(dataDir, { recursive: true }));

/** Leaves what a daemon leaves that does not run any more. `boot`: of the machine's start. */
async function leaveLock(boot: string | null = null): Promise<void> {
  const mine = (await processStartTime(process.pid)) ?? "";
  const startTime = `${boot ?? mine.split(":")[0]}:1`;
  await writeFile(join(dataDir, "daemon.lock"), JSON.stringify({ pid: process.pid, startTime }));
  await utimes(join(dataDir, "daemon.lock"), STARTED / 1000, STARTED / 1000);
}

const leaveLog = (...entries: object[]): Promise<void> =>
  writeFile(
    join(logDir, "current.log"),
    `cut off"}\n${entries.map((entry) => JSON.stringify(entry)).join("\n")}\n{"level":30,"ti`,
  );

const info = (afterMs: number) => ({ level: 30, time: STARTED + afterMs, msg: "request" });
const fatal = (afterMs: number, message: string) => ({
  ...{ level: 60, time: STARTED + afterMs, msg: "uncaught error, the daemon exits; this is a bug in Assistant" },
  err: { type: "TypeError", message, stack: "at…" },
});

test("none where no daemon has run, one runs, or one was stopped", async () => {
  expect(await unexpectedEnd({ dataDir, logDir })).toBeNull();
  const lock = await acquireLock(dataDir);
  expect(await unexpectedEnd({ dataDir, logDir })).toBeNull();
  await lock.release();
  expect(await unexpectedEnd({ dataDir, logDir })).toBeNull();
});

test("of a daemon that was killed, the last sign of life is known", async () => {
  await leaveLock();
  await leaveLog(fatal(-5_000, "of an earlier daemon"), info(1_000), info(61_000));
  const end = { pid: process.pid, startedAt: STARTED, lastSeenAt: STARTED + 61_000, reason: null };
  expect(await unexpectedEnd({ dataDir, logDir })).toEqual(end);
  const plain = new AssistantError("daemon_not_running", "The daemon is not running.", { remedy: "Start it." });
  const error = await withUnexpectedEnd(plain, { dataDir, logDir });
  expect(error.message).toBe(
    "The daemon is not running. It ended unexpectedly at or after 2026-11-30 07:01:01 UTC. " +
      "Its log does not show why: it was probably killed, by a user or for lack of memory.",
  );
  expect(error.remedy).toMatch(/^Start it\. `assistant logs` shows its last lines, and `journalctl -k`/);
});

test("an uncaught error is the reason", async () => {
  await leaveLock();
  await leaveLog(info(1_000), fatal(2_000, "x is\nundefined."));
  expect(await unexpectedEnd({ dataDir, logDir })).toMatchObject({
    lastSeenAt: STARTED + 2_000,
    reason: "TypeError: x is undefined",
  });
});

test("memory that ran out is the reason, which only the output shows", async () => {
  await leaveLock();
  const heap = "FATAL ERROR: Reached heap limit Allocation failed - JavaScript heap out of memory";
  await writeFile(join(logDir, "startup.log"), `\n<--- Last few GCs --->\n\n${heap}\n----- Native stack trace -----\n`);
  expect(await unexpectedEnd({ dataDir, logDir })).toMatchObject({
    lastSeenAt: STARTED,
    reason: "Reached heap limit Allocation failed - JavaScript heap out of memory",
  });
  // Of an earlier daemon.
  await utimes(join(logDir, "startup.log"), STARTED / 1000 - 60, STARTED / 1000 - 60);
  expect(await unexpectedEnd({ dataDir, logDir })).toMatchObject({ reason: null });
});

test("a restart of the machine is the reason", async () => {
  await leaveLock("00000000-0000-0000-0000-000000000000");
  await leaveLog(info(1_000));
  expect(await unexpectedEnd({ dataDir, logDir })).toMatchObject({ reason: "this machine was restarted" });
});

test("other errors stay as they are", async () => {
  await leaveLock();
  const error = new AssistantError("model_not_found", "There is no model x.");
  expect(await withUnexpectedEnd(error, { dataDir, logDir })).toBe(error);
});
