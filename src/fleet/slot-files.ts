import { readdir, rename, rm, stat, statfs, utimes } from "node:fs/promises";
import { join } from "node:path";

/** Where the conversations of one instance are saved, and which saved ones fit it. */
export interface SlotPlace {
  readonly directory: string;
  /** Identifies the model's settings and, after a dash, everything else that a saved state depends on. */
  readonly key: string;
  readonly slots: number;
  /** Files of which the instance has a copy in its host memory. They are useless once it has saved that itself. */
  readonly copies: Set<string>;
}

/** Must stay free on the disk. */
const FREE_BYTES = 2 ** 30;
/** Left over from an interrupted save. */
const STALE_PART_MS = 60_000;

interface SavedFile {
  readonly name: string;
  readonly path: string;
  readonly bytes: number;
  readonly modifiedAt: number;
}

/** The files of saved conversations: a folder per model; a file's time is when its conversation was last used. */
export class SlotFiles {
  readonly #directory: string;
  readonly #budgetBytes: () => number;
  /** Files that are claimed by an instance now. */
  readonly #taken = new Set<string>();

  constructor(directory: string, budgetBytes: () => number) {
    this.#directory = directory;
    this.#budgetBytes = budgetBytes;
  }

  async hasRoom(directory: string, written: number, expected: number): Promise<boolean> {
    if (written + expected > this.#budgetBytes()) return false;
    const { bavail, bsize } = await statfs(directory);
    return bavail * bsize > expected + FREE_BYTES;
  }

  /** Renames what was written under the name and `.part` to its final name, and sets its place in the order. */
  async keep(directory: string, name: string, usedAtMs: number): Promise<void> {
    const path = join(directory, name);
    await utimes(`${path}.part`, usedAtMs / 1000, usedAtMs / 1000);
    await rename(`${path}.part`, path);
  }

  /** Names of the files that fit, most recently used first, without claimed ones. */
  async fitting({ directory, key }: SlotPlace): Promise<string[]> {
    const files = await listFiles(directory);
    const fitting = files.filter(
      ({ path, name }) => name.startsWith(`${key}-`) && name.endsWith(".slot") && !this.#taken.has(path),
    );
    return fitting.sort((a, b) => b.modifiedAt - a.modifiedAt).map(({ name }) => name);
  }

  /**
   * The same, and claims the first of them, as many as there are slots, until `release`. Deletes what can never fit
   * again.
   */
  async claim(place: SlotPlace): Promise<{ readonly own: string[]; readonly others: string[] }> {
    const settings = place.key.slice(0, place.key.indexOf("-") + 1);
    for (const { path, name, modifiedAt } of await listFiles(place.directory)) {
      const cutShort = name.endsWith(".part") && Date.now() - modifiedAt > STALE_PART_MS;
      if (cutShort || !name.startsWith(settings)) await rm(path, { force: true });
    }
    const names = await this.fitting(place);
    // No await between check and claim, so that two instances never claim the same file.
    const own = names.filter((name) => !this.isTaken(place, name)).slice(0, place.slots);
    for (const name of own) this.#taken.add(join(place.directory, name));
    return { own, others: names.filter((name) => !this.isTaken(place, name)) };
  }

  release({ directory }: SlotPlace, names: readonly string[]): void {
    for (const name of names) this.#taken.delete(join(directory, name));
  }

  isTaken({ directory }: SlotPlace, name: string): boolean {
    return this.#taken.has(join(directory, name));
  }

  async delete({ directory }: SlotPlace, name: string): Promise<void> {
    await rm(join(directory, name), { force: true });
  }

  /** Deletes the folders of all models except these. */
  async keepOnly(models: ReadonlySet<string>): Promise<void> {
    for (const folder of await this.#folders())
      if (!models.has(folder)) await rm(join(this.#directory, folder), { recursive: true, force: true });
  }

  /** Deletes what is over the budget, least recently used first. */
  async keepBudget(): Promise<void> {
    const lists = await Promise.all(
      (await this.#folders()).map((folder) => listFiles(join(this.#directory, folder)).catch(() => [])),
    );
    const files = lists.flat().sort((a, b) => b.modifiedAt - a.modifiedAt);
    let bytes = 0;
    for (const file of files) {
      bytes += file.bytes;
      if (bytes > this.#budgetBytes() && !this.#taken.has(file.path) && !file.name.endsWith(".part"))
        await rm(file.path, { force: true });
    }
  }

  #folders(): Promise<string[]> {
    return readdir(this.#directory).catch(() => []);
  }
}

async function listFiles(directory: string): Promise<SavedFile[]> {
  const names = await readdir(directory);
  const files = await Promise.all(
    names.map(async (name): Promise<SavedFile | null> => {
      const path = join(directory, name);
      const found = await stat(path).catch(() => null);
      return found === null ? null : { name, path, bytes: found.size, modifiedAt: found.mtimeMs };
    }),
  );
  return files.filter((file) => file !== null);
}
