import { mkdtemp, readdir, readFile, realpath, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { openLog } from "../../src/telemetry/log.ts";
import { eventually } from "../support/assistant.ts";

test("while the log rolls over, current.log always names the file being written, and old ones go", async () => {
  const directory = await mkdtemp(join(tmpdir(), "log-"));
  try {
    const { log, flush } = await openLog({ level: "info", directory, alsoTo: null });
    const current = join(directory, "current.log");
    const seen = new Set<string>();
    const filler = "x".repeat(100_000);
    // Ten files' worth and more: files hold 10 MB each.
    for (let count = 0; seen.size < 8; count++) {
      log.info({ count, filler }, "line");
      await flush();
      seen.add(await realpath(current));
      if (count > 2_000) throw new Error(`after ${count} lines of 100 kB there were ${seen.size} files`);
    }
    log.info({}, "the last one");
    await flush();
    await eventually("the last line is in it", async () => (await readFile(current, "utf8")).includes("the last one"));
    const lines = (await readFile(current, "utf8")).trimEnd().split("\n");
    for (const line of lines) expect(() => JSON.parse(line)).not.toThrow();
    const files = (await readdir(directory)).filter((name) => name !== "current.log");
    expect(files.sort()).toHaveLength(5);
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
});
