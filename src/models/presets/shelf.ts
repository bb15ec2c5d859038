import { readdir, stat } from "node:fs/promises";
import path from "node:path";
import type { Environment } from "../../config/environment.ts";
import type { ConfigNotice, Paths } from "../../core/config.ts";
import { type PresetFolder, presetFolders } from "./folders.ts";
import type { Presets } from "./preset.ts";

/** The presets of a daemon: read when needed, and again when the user's folders have changed. */
export class PresetShelf {
  readonly #paths: Pick<Paths, "configFile">;
  readonly #env: Environment;
  #identity: string | null = null;
  #presets: Promise<Presets> | null = null;
  #notices: readonly ConfigNotice[] = [];

  constructor(paths: Pick<Paths, "configFile">, env: Environment) {
    this.#paths = paths;
    this.#env = env;
  }

  /** What is wrong with the files, as of the last time that they were read. */
  get notices(): readonly ConfigNotice[] {
    return this.#notices;
  }

  async presets(): Promise<Presets> {
    const identity = await identityOf(presetFolders(this.#paths, this.#env));
    if (this.#presets === null || identity !== this.#identity) {
      this.#identity = identity;
      this.#presets = import("./load.ts").then(({ loadPresets }) => loadPresets(this.#paths, this.#env));
    }
    const presets = await this.#presets;
    this.#notices = presets.notices;
    return presets;
  }

  /** Updates `notices`. If the user has no presets, nothing is read or loaded. */
  async look(): Promise<void> {
    const folders = presetFolders(this.#paths, this.#env);
    const isUsed = folders.some(({ isChosen }) => isChosen) || (await identityOf(folders)) !== "";
    if (isUsed) await this.presets();
    else this.#notices = [];
  }
}

/** Changes with the names, times and sizes of the files. */
async function identityOf(folders: readonly PresetFolder[]): Promise<string> {
  const parts = folders.map(async ({ directory }) => {
    const names = await readdir(directory).catch(() => []);
    const files = names.toSorted().map(async (name) => {
      const found = await stat(path.join(directory, name)).catch(() => null);
      return `${name} ${found?.mtimeMs} ${found?.size}`;
    });
    return (await Promise.all(files)).join("\n");
  });
  return (await Promise.all(parts)).filter((part) => part !== "").join("\n\n");
}
