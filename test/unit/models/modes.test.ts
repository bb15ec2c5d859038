import { chmod, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it } from "vitest";
import { ownerOfFolderReads } from "../../../src/models/pull/modes.ts";
import { emptyGguf } from "../../support/gguf-writer.ts";

it.each([
  [0o644, true],
  [0o600, true],
  [0o004, true],
  // Root could read these, and the daemon's user could not.
  [0o040, false],
  [0o000, false],
])("a file of mode %o can be read by the owner of the store: %s", async (mode, readable) => {
  const folder = await mkdtemp(join(tmpdir(), "assistant-modes-"));
  const file = join(folder, "m.gguf");
  await writeFile(file, emptyGguf);
  await chmod(file, mode);
  expect(await ownerOfFolderReads(folder, file)).toBe(readable);
  await rm(folder, { recursive: true });
});
