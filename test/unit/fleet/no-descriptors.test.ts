import { execFile } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";
import { expect, test } from "vitest";

test("a program that cannot be started, as every file descriptor is in use, is a failure and no end of the daemon", async () => {
  const program = join(import.meta.dirname, "../../fakes/no-descriptors.ts");
  const script = 'ulimit -n 100; exec "$0" "$1"';
  const { stdout } = await promisify(execFile)("sh", ["-c", script, process.execPath, program]);
  expect(JSON.parse(stdout)).toEqual([expect.stringContaining("EMFILE"), "failed", null]);
});
