import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";

const src = (path: string): string => JSON.stringify(new URL(`../../../src/${path}`, import.meta.url).href);

test.each([
  ["uncaughtException", 'setImmediate(() => { throw new Error("broken"); });'],
  ["unhandledRejection", 'Promise.reject(new Error("broken"));'],
])("an error that nothing handles (%s) is in the daemon's log before it exits", (origin, fault) => {
  const directory = mkdtempSync(join(tmpdir(), "assistant-log-"));
  try {
    const program = `
      import { openLog } from ${src("telemetry/log.ts")};
      import { logFatalErrors } from ${src("daemon/last-resort.ts")};
      logFatalErrors(await openLog({ level: "info", directory: ${JSON.stringify(directory)}, alsoTo: null }));
      setInterval(() => {}, 1_000);
      ${fault}`;
    const { status, stderr } = spawnSync(process.execPath, ["--input-type=module", "-e", program], {
      encoding: "utf8",
    });
    expect([status, stderr]).toEqual([1, expect.stringContaining("Error: broken")]);
    const line = JSON.parse(readFileSync(join(directory, "current.log"), "utf8"));
    expect(line).toMatchObject({ origin, err: { message: "broken", stack: expect.stringContaining("at ") } });
  } finally {
    rmSync(directory, { recursive: true });
  }
});
