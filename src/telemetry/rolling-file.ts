import { mkdir, readdir, rename, rm, stat, symlink } from "node:fs/promises";
import { join } from "node:path";
import { pino } from "pino";

export interface RollingOptions {
  readonly directory: string;
  /** Files are `NAME.1.log`, `NAME.2.log` and so on; the highest number is the newest. */
  readonly name: string;
  readonly maxBytes: number;
  /** Files that are kept, the one being written included. */
  readonly kept: number;
}

export interface RollingFile {
  /** For pino. */
  readonly stream: ReturnType<typeof pino.destination>;
  /** Resolves when everything that was logged is in the file. Never rejects. */
  flush(): Promise<void>;
}

/**
 * A log file that gives way to the next one when it is full. `current.log` is a link that always names the one being written:
 * it is replaced by renaming, so that whoever follows the log never finds it missing.
 */
export async function openRollingFile(options: RollingOptions): Promise<RollingFile> {
  const { directory, name, maxBytes, kept } = options;
  await mkdir(directory, { recursive: true, mode: 0o700 });
  const fileOf = (number: number): string => `${name}.${number}.log`;
  let number = Math.max(1, ...(await numbersOf(directory, name)));
  let size = await stat(join(directory, fileOf(number))).then(
    (found) => found.size,
    () => 0,
  );
  const stream = pino.destination({ dest: join(directory, fileOf(number)), sync: false, mode: 0o600 });
  await new Promise<void>((resolve, reject) => stream.once("ready", resolve).once("error", reject));
  // A full disk must not take the daemon down with it: requests matter more than their log lines.
  stream.on("error", () => {});
  await pointTo(directory, fileOf(number));

  let turning: Promise<void> = Promise.resolve();
  const turn = async (): Promise<void> => {
    const next = fileOf(++number);
    size = 0;
    stream.reopen(join(directory, next));
    await pointTo(directory, next);
    const old = (await numbersOf(directory, name)).filter((one) => one <= number - kept);
    await Promise.all(old.map((one) => rm(join(directory, fileOf(one)), { force: true })));
  };
  stream.on("write", (bytes: number) => {
    size += bytes;
    if (size >= maxBytes) {
      size = 0;
      turning = turning.then(turn).catch(() => {});
    }
  });
  return {
    stream,
    async flush() {
      await new Promise<void>((resolve) => stream.flush(() => resolve()));
      await turning;
    },
  };
}

async function numbersOf(directory: string, name: string): Promise<number[]> {
  const pattern = new RegExp(`^${name}\\.(\\d+)\\.log$`);
  return (await readdir(directory)).map((file) => Number(pattern.exec(file)?.[1] ?? 0)).filter((number) => number > 0);
}

/** Relative, so that a directory that is moved or mounted elsewhere keeps a link that works. */
async function pointTo(directory: string, file: string): Promise<void> {
  const draft = join(directory, `current.log.${process.pid}`);
  await rm(draft, { force: true });
  await symlink(file, draft);
  await rename(draft, join(directory, "current.log"));
}
