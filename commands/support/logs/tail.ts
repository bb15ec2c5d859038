import { type FileHandle, open, stat } from "node:fs/promises";
import { setTimeout as delay } from "node:timers/promises";
import { toAssistantError } from "../../../src/core/errors.ts";

const BLOCK_BYTES = 64 * 1024;
const POLL_MS = 200;

/**
 * A log, by the path that always names the current file. Following starts exactly where reading ended: the file stays
 * open in between, even if it is renamed.
 */
export class LogTail implements AsyncDisposable {
  readonly #path: string;
  #handle: FileHandle | null;
  /** Of the open file and not of the path, which may name another one already. */
  #identity: string | null = null;
  #at = 0;

  /** A file that is not there yet is empty. */
  static async open(path: string): Promise<LogTail> {
    const tail = new LogTail(path, await openIfThere(path));
    await tail.#identify();
    return tail;
  }

  private constructor(path: string, handle: FileHandle | null) {
    this.#path = path;
    this.#handle = handle;
  }

  /** The last `count` lines. What is written from now on is left to `follow`. */
  async last(count: number): Promise<string[]> {
    if (this.#handle === null) return [];
    const { size } = await this.#handle.stat();
    this.#at = size;
    let start = size;
    let text = Buffer.alloc(0);
    // One newline more than lines: the last line ends with one.
    while (start > 0 && countNewlines(text) <= count) {
      const length = Math.min(BLOCK_BYTES, start);
      start -= length;
      text = Buffer.concat([await readBlock(this.#handle, start, length), text]);
    }
    const lines = text.toString("utf8").replace(/\n$/u, "").split("\n");
    return size === 0 || count === 0 ? [] : lines.slice(-count);
  }

  /**
   * Yields further lines as they come, until the signal is aborted. Goes on at the start of the new file when the log
   * was rotated (the path, or its symbolic link, names another file) or truncated; waits for one that is not there yet.
   */
  async *follow(signal: AbortSignal): AsyncGenerator<string[]> {
    let rest = "";
    const decoder = new TextDecoder();
    while (!signal.aborted) {
      const named = await identityOf(this.#path);
      const block = this.#handle === null ? Buffer.alloc(0) : await readBlock(this.#handle, this.#at, BLOCK_BYTES);
      this.#at += block.length;
      const parts = (rest + decoder.decode(block, { stream: true })).split("\n");
      rest = parts.pop() ?? "";
      if (parts.length > 0) yield parts;
      if (block.length === BLOCK_BYTES) continue;
      // Looked at before reading: what was written to the old file up to its rotation has been read.
      if (named !== null && named !== this.#identity) {
        await this.#reopen();
        continue;
      }
      if (this.#handle !== null && (await this.#handle.stat()).size < this.#at) this.#at = 0;
      await delay(POLL_MS, undefined, { signal }).catch(() => undefined);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#handle?.close();
    this.#handle = null;
  }

  async #reopen(): Promise<void> {
    await this.#handle?.close();
    this.#handle = await openIfThere(this.#path);
    this.#at = 0;
    await this.#identify();
  }

  async #identify(): Promise<void> {
    this.#identity = this.#handle === null ? null : identityText(await this.#handle.stat());
  }
}

/**
 * Calls back with the last `count` lines of a file, now and whenever it grows. A file that cannot be read is said as a
 * line.
 */
export function watchTail(file: string, count: number, listener: (lines: readonly string[]) => void): () => void {
  const stop = new AbortController();
  const follow = async (): Promise<void> => {
    await using tail = await LogTail.open(file);
    let lines = await tail.last(count);
    if (lines.length === 0) lines = ["(nothing logged yet)"];
    listener(lines);
    for await (const more of tail.follow(stop.signal)) {
      lines = [...lines, ...more].slice(-count);
      if (!stop.signal.aborted) listener(lines);
    }
  };
  follow().catch((error: unknown) => listener([toAssistantError(error).message]));
  return () => stop.abort();
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
