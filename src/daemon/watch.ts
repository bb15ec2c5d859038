import { type FSWatcher, watch } from "node:fs";
import { readdir, stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import type { Clock, Timer } from "../core/clock.ts";

// Editors write a file in several steps; one reload after the last of them is enough.
const SETTLE_MS = 300;
/**
 * The kernel reports no change behind a link, none of a directory that took another's place, and none made by another
 * machine.
 */
const LOOK_MS = 2_000;
/** Several events of one change come at once. */
const EVENT_MS = 20;

/** The watched files, requested at every check, as a reload may change them. */
interface Watched {
  readonly files: readonly string[];
  /** Directories of which every `*.toml` counts. */
  readonly directories: readonly string[];
}

export interface WatchOptions {
  readonly clock: Clock;
  watched(): Watched;
  /** Files have changed, and nothing more happened for 300 ms. */
  onChange(): void;
  readonly lookMs?: number;
}

/**
 * Notices every change of files, however it is made: written in place, renamed, or through a link or directory that
 * points elsewhere. The files themselves are checked every two seconds; a kernel event triggers a check sooner.
 */
export class ConfigWatch implements Disposable {
  readonly #options: WatchOptions;
  readonly #directories = new Map<string, { readonly identity: string; readonly watcher: FSWatcher }>();
  /** What the files were when they were last reported, and what they seem to become; null: nothing is changing. */
  #known: string | null = null;
  #becoming: string | null = null;
  #next: Timer | null = null;
  #isLooking = false;
  /** The kernel has reported something since the last look began. */
  #hasHappened = false;
  #stopped = false;

  constructor(options: WatchOptions) {
    this.#options = options;
    void this.#look();
  }

  [Symbol.dispose](): void {
    this.#stopped = true;
    this.#next?.cancel();
    for (const { watcher } of this.#directories.values()) watcher.close();
  }

  #lookIn(milliseconds: number): void {
    this.#next?.cancel();
    if (!this.#stopped) this.#next = this.#options.clock.after(milliseconds, () => void this.#look());
  }

  #happened(): void {
    this.#hasHappened = true;
    if (!this.#isLooking) this.#lookIn(this.#becoming === null ? EVENT_MS : SETTLE_MS);
  }

  async #look(): Promise<void> {
    const { watched, onChange, lookMs = LOOK_MS } = this.#options;
    this.#isLooking = true;
    this.#hasHappened = false;
    const { files, directories } = watched();
    await this.#listen(new Set([...files.map(dirname), ...directories]));
    const seen = await signatureOf(files, directories);
    if (this.#stopped) return;
    this.#known ??= seen;
    const settled = seen === this.#becoming && !this.#hasHappened;
    this.#becoming = seen === this.#known || settled ? null : seen;
    if (settled) {
      this.#known = seen;
      onChange();
    }
    this.#isLooking = false;
    this.#lookIn(this.#becoming !== null ? SETTLE_MS : this.#hasHappened ? EVENT_MS : lookMs);
  }

  /**
   * Subscribes to kernel events of these directories; changes of missing or unwatchable ones are found by the regular
   * checks.
   */
  async #listen(wanted: ReadonlySet<string>): Promise<void> {
    for (const directory of new Set([...wanted, ...this.#directories.keys()])) {
      const identity = wanted.has(directory) ? await identityOf(directory) : MISSING;
      const known = this.#directories.get(directory);
      if (this.#stopped || known?.identity === identity) continue;
      known?.watcher.close();
      this.#directories.delete(directory);
      if (identity === MISSING) continue;
      try {
        const watcher = watch(directory, { persistent: false }, () => this.#happened());
        watcher.on("error", () => watcher.close());
        this.#directories.set(directory, { identity, watcher });
      } catch {
        // Out of watches: looking finds the change.
      }
    }
  }
}

const MISSING = "-";

/** Equal as long as nothing has changed in any of the files, their names and what they lead to. */
async function signatureOf(files: readonly string[], directories: readonly string[]): Promise<string> {
  const listed = await Promise.all(
    directories.map(async (directory) =>
      (await readdir(directory).catch(() => [])).map((name) => join(directory, name)),
    ),
  );
  const all = [...files, ...listed.flat().filter((file) => file.endsWith(".toml"))].sort();
  return (await Promise.all(all.map(async (file) => `${file} ${await versionOf(file)}`))).join("\n");
}

/** Follows links. The time of the last change covers permissions, which a mended file may have been waiting for. */
async function versionOf(file: string): Promise<string> {
  const found = await stat(file, { bigint: true }).catch(() => null);
  return found === null ? MISSING : `${found.dev} ${found.ino} ${found.size} ${found.mtimeNs} ${found.ctimeNs}`;
}

async function identityOf(directory: string): Promise<string> {
  const found = await stat(directory).catch(() => null);
  return found === null ? MISSING : `${found.dev} ${found.ino}`;
}
