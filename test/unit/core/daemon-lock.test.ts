import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { acquireLock, lockHolder } from "../../../src/core/daemon-lock.ts";
import { processStartTime } from "../../../src/core/process.ts";

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "assistant-lock-"));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

test.each(["", "{", '{"pid":1}', "null"])("a lock that holds %j is taken over", async (text) => {
  const file = join(folder, "daemon.lock");
  await writeFile(file, text);
  expect(await lockHolder(folder)).toBeNull();
  const lock = await acquireLock(folder);
  const mine = { pid: process.pid, startTime: await processStartTime(process.pid) };
  expect(JSON.parse(await readFile(file, "utf8"))).toEqual(mine);
  expect(await lockHolder(folder)).toMatchObject(mine);
  await expect(acquireLock(folder)).rejects.toMatchObject({ code: "daemon_running" });
  await lock.release();
  expect(await readdir(folder)).toEqual([]);
});
