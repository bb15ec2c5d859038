import { mkdtemp, rename, rm, stat, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { readGguf } from "../../../src/models/gguf-header.ts";
import { HeaderCache } from "../../../src/models/header-cache.ts";
import { ggufPieces } from "../../support/gguf-writer.ts";
import { documentsIn } from "../../support/store.ts";

const readFile = vi.fn(readGguf);

let root: string;
let file: string;
beforeEach(async () => {
  readFile.mockClear();
  root = await mkdtemp(join(tmpdir(), "assistant-headers-"));
  file = join(root, "model.gguf");
  await writeModel("One");
});
afterEach(() => rm(root, { recursive: true, force: true }));

const writeModel = (title: string, path = file): Promise<void> =>
  writeFile(
    path,
    Buffer.concat(
      ggufPieces(
        new Map([
          ["general.architecture", { text: "llama" }],
          ["general.name", { text: title }],
        ]),
        [],
      ),
    ),
  );

/** What one process sees. */
async function titleSeen(path = file): Promise<string | null> {
  const cache = new HeaderCache(documentsIn(root), readFile);
  const { title } = await cache.read(path);
  await cache.save();
  return title;
}

describe("the header of a file", () => {
  it("is read once, and again when the file has changed", async () => {
    expect(await titleSeen()).toBe("One");
    expect(await titleSeen()).toBe("One");
    expect(readFile).toHaveBeenCalledTimes(1);
    await writeModel("Two");
    expect(await titleSeen()).toBe("Two");
  });

  it("is read again when another file of the same size and time took its place", async () => {
    expect(await titleSeen()).toBe("One");
    const other = join(root, "other.gguf");
    await writeModel("Two", other);
    const { atime, mtime } = await stat(file);
    await utimes(other, atime, mtime);
    await rename(other, file);
    expect(await titleSeen()).toBe("Two");
  });

  it("is seen anew by a process that keeps running", async () => {
    const cache = new HeaderCache(documentsIn(root), readFile);
    expect((await cache.read(file)).title).toBe("One");
    await writeModel("Another");
    expect((await cache.read(file)).title).toBe("Another");
    await rm(file);
    await expect(cache.read(file)).rejects.toThrow();
  });

  it("stays known while the headers of other files are kept", async () => {
    const other = join(root, "other.gguf");
    await writeModel("Other", other);
    await titleSeen();
    await titleSeen(other);
    await titleSeen();
    expect(readFile).toHaveBeenCalledTimes(2);
  });

  it("is read anew where what was kept is damaged, and a file that is no model is refused", async () => {
    await writeFile(join(root, "gguf-headers.json"), "[]");
    expect(await titleSeen()).toBe("One");
    await writeFile(file, "text");
    await expect(titleSeen()).rejects.toMatchObject({ code: "model_invalid" });
  });
});
