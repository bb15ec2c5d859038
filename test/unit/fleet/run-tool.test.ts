import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { runTool } from "../../../src/fleet/run-tool.ts";

let folder = "";
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "assistant-tools-"));
});
afterEach(() => rm(folder, { recursive: true }));

const run = () => runTool("vendor-tool", [], { PATH: folder }, 5_000);

test("what is nowhere on the PATH is missing", async () => {
  expect(await run()).toEqual({ outcome: "missing" });
});

test("also where the system calls it forbidden", async () => {
  await mkdir(join(folder, "vendor-tool"));
  expect(await run()).toEqual({ outcome: "missing" });
});

test("a file that may not be run is a failure", async () => {
  await writeFile(join(folder, "vendor-tool"), "", { mode: 0o644 });
  expect(await run()).toMatchObject({ outcome: "failed", reason: expect.stringContaining("EACCES") });
});
