import { mkdtemp, rm, utimes } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Readable } from "node:stream";
import { text } from "node:stream/consumers";
import { afterAll, expect, onTestFinished, test, vi } from "vitest";

const disk = vi.hoisted(() => ({ looked: async (_path: string): Promise<void> => {} }));
vi.mock("node:fs/promises", async (original) => {
  const real = await original<typeof import("node:fs/promises")>();
  const stat = async (path: string) => {
    const found = await real.stat(path);
    await disk.looked(path);
    return found;
  };
  return { ...real, stat };
});

// Other files of this process may have loaded it with the real one, and must not get this one.
vi.resetModules();
afterAll(() => vi.resetModules());
const { BlobFolder } = await import("../../../src/store/blobs.ts");

test("a content that is written again while a sweep looks at it stays", async () => {
  const directory = await mkdtemp(join(tmpdir(), "assistant-blobs-"));
  onTestFinished(() => rm(directory, { recursive: true }));
  const blobs = new BlobFolder(directory);
  const write = () => blobs.write(Readable.from([Buffer.from("note")]), { maxBytes: 100 });
  const { digest } = await write();
  const swept = (passedMs: number) =>
    new BlobFolder(directory).sweep(async (digests) => digests, Date.now() + passedMs);
  const path = join(directory, digest.slice(0, 2), digest);
  await utimes(path, 0, 0);
  let looks = 0;
  disk.looked = async (path) => {
    if (path.endsWith(digest) && ++looks === 1) await write();
  };
  expect(await blobs.sweep(async (digests) => digests, Date.now())).toBe(0);
  const content = await blobs.read(digest);
  expect(content === null ? null : await text(content.stream)).toBe("note");
  expect([await swept(0), await swept(3_600_000)]).toEqual([0, 1]);
});
