import { type FileHandle, open, stat } from "node:fs/promises";
import { setTimeout as delay } from "node:timers/promises";

const BLOCK_BYTES = 64 * 1024;
const POLL_MS = 200;

/** The last `count` lines of a file and the offset behind them; a file that is not there has none. */
export async function lastLines(file: string, count: number): Promise<{ readonly lines: string[]; readonly offset: number }> {
  const handle = await openIfThere(file);
  if (handle === null) return { lines: [], offset: 0 };
  try {
    const { size } = await handle.stat();
    let start = size;
    let text = Buffer.alloc(0);
    // One newline more than lines: the last line ends with one.
    while (start > 0 && countNewlines(text) <= count) {
      const length = Math.min(BLOCK_BYTES, start);
      start -= length;
      text = Buffer.concat([await readBlock(handle, start, length), text]);
    }
    const lines = text.toString("utf8").replace(/\n$/u, "").split("\n");
    return { lines: size === 0 || count === 0 ? [] : lines.slice(-count), offset: size };
  } finally {
    await handle.close();
  }
}

/**
 * Yields the lines that are written to `file` from `offset` on, as they come, until the signal is aborted. Goes on at
 * the start of the new file when the log was rotated (the path, or its symbolic link, names another file) or
 * truncated; waits for one that is not there yet.
 */
export async function* followLines(file: string, offset: number, signal: AbortSignal): AsyncGenerator<string[]> {
  let at = offset;
  let handle = await openIfThere(file);
  // Of the open file and not of the path, which may name another one already.
  let identity = handle === null ? null : identityText(await handle.stat());
  let rest = "";
  const decoder = new TextDecoder();
  try {
    while (!signal.aborted) {
      const before = await identityOf(file);
      const block = handle === null ? Buffer.alloc(0) : await readBlock(handle, at, BLOCK_BYTES);
      at += block.length;
      const parts = (rest + decoder.decode(block, { stream: true })).split("\n");
      rest = parts.pop() ?? "";
      if (parts.length > 0) yield parts;
      if (block.length === BLOCK_BYTES) continue;
      // Looked at before reading: what was written to the old file up to its rotation has been read.
      if (before !== null && before !== identity) {
        await handle?.close();
        handle = await openIfThere(file);
        identity = handle === null ? null : identityText(await handle.stat());
        at = 0;
        continue;
      }
      if (handle !== null && (await handle.stat()).size < at) at = 0;
      await delay(POLL_MS, undefined, { signal }).catch(() => undefined);
    }
  } finally {
    await handle?.close();
  }
}

async function openIfThere(file: string): Promise<FileHandle | null> {
  try {
    return await open(file, "r");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return null;
    throw error;
  }
}

const identityText = ({ dev, ino }: { readonly dev: number; readonly ino: number }): string => `${dev}:${ino}`;

async function identityOf(file: string): Promise<string | null> {
  try {
    return identityText(await stat(file));
  } catch {
    return null;
  }
}

async function readBlock(handle: FileHandle, position: number, length: number): Promise<Buffer> {
  const buffer = Buffer.alloc(length);
  const { bytesRead } = await handle.read(buffer, 0, length, position);
  return buffer.subarray(0, bytesRead);
}

function countNewlines(bytes: Buffer): number {
  let count = 0;
  for (let at = bytes.indexOf(10); at !== -1; at = bytes.indexOf(10, at + 1)) count++;
  return count;
}
