import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { AssistantError } from "../../../src/core/errors.ts";
import { writing } from "../../../src/core/writing.ts";

test("a disk that is really full is told as such", async () => {
  await expect(writing("log", "/dev/full", () => writeFile("/dev/full", "x"))).rejects.toMatchObject({
    code: "disk_full",
    message: "The log /dev/full cannot be written: the disk is full (ENOSPC).",
    remedy: expect.stringContaining("Free some disk space"),
  });
});

test("a path below a file is told with the reason", async () => {
  const folder = await mkdtemp(join(tmpdir(), "writing-"));
  try {
    await writeFile(join(folder, "file"), "");
    const path = join(folder, "file", "below");
    await expect(writing("data directory", path, () => writeFile(path, "x"))).rejects.toMatchObject({
      code: "not_writable",
      message: expect.stringContaining("is a file and not a directory"),
    });
  } finally {
    await rm(folder, { recursive: true });
  }
});

test("errors that are none of the file system's pass as they are", async () => {
  for (const error of [
    new AssistantError("daemon_running", "x"),
    new Error("y"),
    Object.assign(new Error("z"), { code: "ECONNRESET" }),
  ]) {
    await expect(writing("thing", "/x", () => Promise.reject(error))).rejects.toBe(error);
  }
});
