import { type FileHandle, mkdir, open, readdir, rename, rm, symlink } from "node:fs/promises";
import { join } from "node:path";

export interface RollingOptions {
  readonly directory: string;
  /** Files are `NAME.1.log`, `NAME.2.log` and so on; the highest number is the newest. */
  readonly name: string;
  readonly maxBytes: number;
  /** Files that are kept, the one being written included. */
  readonly kept: number;
}

/** Between two writes: a line is in the file within this time, and a burst costs twenty writes a second. */
const WRITE_EVERY_MS = 50;

/** Lines that wait for a slow disk; further ones are dropped, since memory is worth more than a log. */
const MAX_WAITING_CHARACTERS = 4 * 2 ** 20;

/**
 * A log in files of a limited size. `current.log` is a link to the current one: it is replaced by renaming, so
 * followers of the log never find it missing.
 *
 * Lines that cannot be written are lost, without further effects: a full disk must neither crash the daemon nor keep it
 * from exiting. pino-roll was tried: under continuous load it does not rotate
 * (docs/decisions/2026-11-29-micro-optimisations.md).
 */
export class RollingFile {
  readonly #options: RollingOptions;
  #number: number;
  #handle: FileHandle;
  #size: number;
  #waiting: string[] = [];
  #waitingCharacters = 0;
  #draining: Promise<void> | null = null;
  #hurry: (() => void) | null = null;
  #hurried = false;

  /** Makes the directory where it is missing. Rejects where the file cannot be opened. */
  static async open(options: RollingOptions): Promise<RollingFile> {
    await mkdir(options.directory, { recursive: true, mode: 0o700 });
    const number = Math.max(1, ...(await numbersOf(options)));
    const handle = await open(pathOf(options, number), "a", 0o600);
    const { size } = await handle.stat();
    await pointTo(options, number);
    return new RollingFile(options, number, handle, size);
  }

  private constructor(options: RollingOptions, number: number, handle: FileHandle, size: number) {
    this.#options = options;
    this.#number = number;
    this.#handle = handle;
    this.#size = size;
  }

  /** Takes a line for writing and returns at once. */
  write(line: string): void {
    if (this.#waitingCharacters > MAX_WAITING_CHARACTERS) return;
    this.#waiting.push(line);
    this.#waitingCharacters += line.length;
    this.#draining ??= this.#drain();
  }

  /** Resolves when every line that was taken is in the file, or is lost. Never rejects. */
  async flush(): Promise<void> {
    this.#hurried = true;
    while (this.#draining !== null) {
      this.#hurry?.();
      await this.#draining;
    }
    this.#hurried = false;
  }

  async #drain(): Promise<void> {
    // What one tick logs goes out in one piece.
    await new Promise((resolve) => setImmediate(resolve));
    while (this.#waiting.length > 0) {
      const piece = Buffer.from(this.#waiting.join(""));
      this.#waiting = [];
      this.#waitingCharacters = 0;
      await this.#handle.appendFile(piece).catch(() => {});
      this.#size += piece.length;
      if (this.#size >= this.#options.maxBytes) await this.#turn().catch(() => {});
      if (!this.#hurried) await this.#pause();
    }
    this.#draining = null;
  }

  #pause(): Promise<void> {
    return new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, WRITE_EVERY_MS);
      this.#hurry = () => {
        clearTimeout(timer);
        resolve();
      };
    }).then(() => {
      this.#hurry = null;
    });
  }

  async #turn(): Promise<void> {
    this.#size = 0;
    const next = await open(pathOf(this.#options, this.#number + 1), "a", 0o600);
    const full = this.#handle;
    this.#handle = next;
    this.#number++;
    await full.close();
    await pointTo(this.#options, this.#number);
    const old = (await numbersOf(this.#options)).filter((number) => number <= this.#number - this.#options.kept);
    await Promise.all(old.map((number) => rm(pathOf(this.#options, number), { force: true })));
  }
}

const fileOf = ({ name }: RollingOptions, number: number): string => `${name}.${number}.log`;
const pathOf = (options: RollingOptions, number: number): string => join(options.directory, fileOf(options, number));

async function numbersOf({ directory, name }: RollingOptions): Promise<number[]> {
  const pattern = new RegExp(`^${name}\\.(\\d+)\\.log$`);
  return (await readdir(directory)).map((file) => Number(pattern.exec(file)?.[1] ?? 0)).filter((number) => number > 0);
}

/** Relative, so that a directory that is moved or mounted elsewhere keeps a link that works. */
async function pointTo(options: RollingOptions, number: number): Promise<void> {
  const draft = join(options.directory, `current.log.${process.pid}`);
  await rm(draft, { force: true });
  await symlink(fileOf(options, number), draft);
  await rename(draft, join(options.directory, "current.log"));
}
