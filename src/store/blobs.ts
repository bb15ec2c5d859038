import { createHash, randomUUID } from "node:crypto";
import { type FileHandle, mkdir, open, readdir, rename, rm, stat, unlink, utimes } from "node:fs/promises";
import { dirname, join } from "node:path";
import { Readable } from "node:stream";
import { AssistantError } from "../core/errors.ts";
import type { Blob, BlobContent, Blobs } from "../core/store.ts";
import { writeFailure } from "../core/writing.ts";

/** A blob is named by a record within this time after it was written. */
const UNNAMED_FOR_MS = 10 * 60_000;
const PARTIAL = ".part";

/** Contents of files in one directory: `ab/abcdef…`, by their SHA-256. Nothing is ever whole in memory. */
export class BlobFolder implements Blobs {
  readonly #directory: string;
  /** Recent writes of contents, by digest: a sweep may have seen an old file just before. */
  readonly #writtenAt = new Map<string, number>();

  constructor(directory: string) {
    this.#directory = directory;
  }

  async write(source: AsyncIterable<Uint8Array>, { maxBytes }: { readonly maxBytes: number }): Promise<Blob> {
    const partial = join(this.#directory, `${randomUUID()}${PARTIAL}`);
    try {
      await mkdir(this.#directory, { recursive: true, mode: 0o700 });
      const file = await open(partial, "wx", 0o600);
      let blob: Blob;
      try {
        blob = await copied(source, file, maxBytes);
        await file.sync();
      } finally {
        await file.close();
      }
      await this.#keep(partial, blob.digest);
      return blob;
    } catch (error) {
      await rm(partial, { force: true });
      throw writeFailure("file's content", this.#directory, error);
    }
  }

  async read(digest: string, range?: { readonly start: number; readonly end: number }): Promise<BlobContent | null> {
    const path = this.#path(digest);
    const file = await open(path).catch(missing);
    if (file === null) return null;
    const { size } = await file.stat();
    const { start, end } = range ?? { start: 0, end: size };
    if (start >= end) {
      await file.close();
      return { bytes: size, stream: Readable.from([]) };
    }
    return { bytes: size, stream: file.createReadStream({ start, end: end - 1 }) };
  }

  /**
   * Deletes the old ones among them that `unreferenced` returns, and what writers left behind. Resolves with how many.
   */
  async sweep(unreferenced: (digests: readonly string[]) => Promise<readonly string[]>, now: number): Promise<number> {
    const before = now - UNNAMED_FOR_MS;
    const isOld = async (path: string): Promise<boolean> => {
      const found = await stat(path).catch(missing);
      return found !== null && found.mtimeMs < before;
    };
    let removed = 0;
    for (const name of await names(this.#directory)) {
      const path = join(this.#directory, name);
      if (name.endsWith(PARTIAL) && (await isOld(path))) await rm(path, { force: true });
      if (!/^[0-9a-f]{2}$/.test(name)) continue;
      for (const digest of await unreferenced((await names(path)).filter(isDigest))) {
        if (!(await isOld(join(path, digest))) || (this.#writtenAt.get(digest) ?? 0) >= before) continue;
        await unlink(join(path, digest)).catch(missing);
        removed += 1;
      }
    }
    for (const [digest, at] of this.#writtenAt) if (at < before) this.#writtenAt.delete(digest);
    return removed;
  }

  /** Gives the content its name, durably. One that is there already stays, as if written now. */
  async #keep(partial: string, digest: string): Promise<void> {
    const path = this.#path(digest);
    const now = new Date();
    this.#writtenAt.set(digest, now.getTime());
    await mkdir(dirname(path), { recursive: true, mode: 0o700 });
    if ((await stat(path).catch(missing)) === null) {
      await rename(partial, path);
      for (const directory of [dirname(path), this.#directory]) await syncDirectory(directory);
    } else {
      await utimes(path, now, now);
      await rm(partial, { force: true });
    }
  }

  /** A digest may come from a request: it never becomes another path. */
  #path(digest: string): string {
    if (!isDigest(digest)) throw new AssistantError("invalid_request", "A digest has 64 hex digits.");
    return join(this.#directory, digest.slice(0, 2), digest);
  }
}

async function copied(source: AsyncIterable<Uint8Array>, file: FileHandle, maxBytes: number): Promise<Blob> {
  const hash = createHash("sha256");
  let bytes = 0;
  for await (const chunk of source) {
    bytes += chunk.length;
    if (bytes > maxBytes)
      throw new AssistantError("body_too_large", `The file is larger than the ${maxBytes} bytes that are allowed.`);
    hash.update(chunk);
    await file.writeFile(chunk);
  }
  return { digest: hash.digest("hex"), bytes };
}

async function syncDirectory(path: string): Promise<void> {
  const directory = await open(path, "r");
  await directory.sync().finally(() => directory.close());
}

const isDigest = (text: string): boolean => /^[0-9a-f]{64}$/.test(text);
const names = async (directory: string): Promise<string[]> => (await readdir(directory).catch(missing)) ?? [];

function missing(error: NodeJS.ErrnoException): null {
  if (error.code === "ENOENT") return null;
  throw error;
}
