import { createHash, type Hash } from "node:crypto";
import { createReadStream } from "node:fs";
import { type FileHandle, link, open, readFile, rm, writeFile } from "node:fs/promises";
import { FILE_MODE } from "./modes.ts";

/** Which bytes an unfinished file holds, so that they are continued only by the same ones. */
interface Note {
  /** The source, such as its URL. */
  readonly key: string;
  /** `ETag` or `Last-Modified` of the source, for `If-Range`. */
  readonly validator: string | null;
}

/** Another user could not continue writing the file either; without the note the download starts over. */
const NOTE_MODE = 0o600;

/**
 * The file that a pull fills. It owns the bytes on disk, their count and their running digest; the three always agree.
 * What is left of an earlier pull is taken up by `begin`.
 */
export class PartialFile {
  readonly path: string;
  /** Whether the bytes came in more than one piece: such a file may mix two versions of its source. */
  continued = false;
  readonly #notePath: string;
  #handle: FileHandle | null = null;
  #hash: Hash = createHash("sha256");
  #bytes = 0;
  #note: Note | null = null;

  constructor(path: string, notePath: string) {
    this.path = path;
    this.#notePath = notePath;
  }

  get bytes(): number {
    return this.#bytes;
  }

  get validator(): string | null {
    return this.#note?.validator ?? null;
  }

  /**
   * Opens it for the bytes of `key`: what is there from the same source is kept and hashed, anything else thrown away.
   */
  async begin(key: string, signal: AbortSignal, onHashed: (bytes: number) => void = () => {}): Promise<void> {
    await this.close();
    const note = await this.#readNote();
    if (note?.key !== key) return this.restart(key);
    this.#note = note;
    this.#handle = await open(this.path, "a+");
    await this.#absorb(this.path, signal, onHashed);
    this.continued = this.#bytes > 0;
  }

  /** Empties it. `validator` identifies the version of the source that follows. */
  async restart(key: string, validator: string | null = null): Promise<void> {
    await this.close();
    // Not truncated: the old file may be a hard link to a user's own.
    await rm(this.path, { force: true });
    this.#reset();
    this.#note = { key, validator };
    this.#handle = await open(this.path, "ax");
    // Not at opening, where the umask has its say.
    await this.#handle.chmod(FILE_MODE);
    await rm(this.#notePath, { force: true });
    await writeFile(this.#notePath, JSON.stringify(this.#note), { mode: NOTE_MODE });
  }

  async append(chunk: Uint8Array): Promise<void> {
    if (this.#handle === null) throw new Error("append before begin");
    let written = 0;
    while (written < chunk.length) {
      const { bytesWritten } = await this.#handle.write(chunk, written);
      this.#hash.update(chunk.subarray(written, written + bytesWritten));
      this.#bytes += bytesWritten;
      written += bytesWritten;
    }
  }

  /**
   * Becomes another name of `file`, without copying. Rejects with `EXDEV` or `EPERM` where the file system cannot; it
   * is empty then.
   */
  async linkTo(file: string, signal: AbortSignal, onHashed: (bytes: number) => void): Promise<void> {
    await this.discard();
    await link(file, this.path);
    await this.#absorb(this.path, signal, onHashed);
  }

  /** Digest of all bytes so far, lower-case hex. */
  sha256(): string {
    return this.#hash.copy().digest("hex");
  }

  /** Makes the bytes durable; the file can be renamed then. */
  async finish(): Promise<void> {
    await this.#handle?.sync();
    await this.close();
    await rm(this.#notePath, { force: true });
  }

  /** Keeps what is there for a later pull. */
  async close(): Promise<void> {
    const handle = this.#handle;
    this.#handle = null;
    await handle?.close();
  }

  async discard(): Promise<void> {
    await this.close();
    await Promise.all([rm(this.path, { force: true }), rm(this.#notePath, { force: true })]);
    this.#reset();
  }

  #reset(): void {
    this.#hash = createHash("sha256");
    this.#bytes = 0;
    this.#note = null;
    this.continued = false;
  }

  async #absorb(file: string, signal: AbortSignal, onHashed: (bytes: number) => void): Promise<void> {
    this.#hash = createHash("sha256");
    this.#bytes = 0;
    for await (const chunk of createReadStream(file, { highWaterMark: 1 << 20, signal }) as AsyncIterable<Buffer>) {
      this.#hash.update(chunk);
      this.#bytes += chunk.length;
      onHashed(this.#bytes);
    }
  }

  async #readNote(): Promise<Note | null> {
    try {
      const note = JSON.parse(await readFile(this.#notePath, "utf8")) as Partial<Note>;
      return typeof note.key === "string"
        ? { key: note.key, validator: typeof note.validator === "string" ? note.validator : null }
        : null;
    } catch {
      return null;
    }
  }
}
