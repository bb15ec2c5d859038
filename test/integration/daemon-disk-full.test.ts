import { mkdir, symlink } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, expect, test } from "vitest";
import { ask, type FakeInstallation, installFakes } from "../support/fake-installation.ts";
import { residentBytes } from "../support/processes.ts";

let assistant: FakeInstallation;
afterEach(() => assistant[Symbol.asyncDispose]());

// The kernel's own full disk: every write to it fails with ENOSPC, for root too.
test("a disk that is full costs log lines and no requests, and the daemon still ends properly", async () => {
  assistant = await installFakes({ models: { river: {} } });
  const logDir = join(assistant.env["ASSISTANT_DATA_DIR"] ?? "", "log");
  await mkdir(logDir, { recursive: true, mode: 0o700 });
  await symlink("/dev/full", join(logDir, "assistant.1.log"));
  const url = await assistant.serve();
  const { pid } = await assistant.state();
  for (let round = 0; round < 5; round++) {
    const answers = await Promise.all(
      Array.from({ length: 40 }, (_, index) => ask(url, "river", `hello ${index}`, { stream: index % 2 === 0 })),
    );
    expect(answers.map(({ status }) => status)).toEqual(Array(40).fill(200));
  }
  expect((await assistant.state()).pid).toBe(pid);
  expect(await residentBytes(pid)).toBeLessThan(400 * 2 ** 20);
  await assistant.stop();
});
