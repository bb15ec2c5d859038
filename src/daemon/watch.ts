import { type FSWatcher, watch } from "node:fs";
import { basename, dirname } from "node:path";
import type { Clock, Timer } from "../core/clock.ts";

// Editors write a file in several steps; one reload after the last of them is enough.
const SETTLE_MS = 300;

/**
 * Calls `onChange` once after files of the configuration have changed and nothing more happened for 300 ms.
 * Directories are watched rather than files, since editors replace files by renaming.
 */
export function watchConfig(configFile: string, modelDirs: readonly string[], clock: Clock, onChange: () => void): Disposable {
  const watchers: FSWatcher[] = [];
  let pending: Timer | null = null;
  const changed = (): void => {
    pending?.cancel();
    pending = clock.after(SETTLE_MS, onChange);
  };
  const add = (directory: string, matches: (file: string) => boolean): void => {
    try {
      const watcher = watch(directory, { persistent: false }, (_event, file) => {
        if (file === null || matches(file)) changed();
      });
      watcher.on("error", () => watcher.close());
      watchers.push(watcher);
    } catch {
      // The directory does not exist yet: SIGHUP and `assistant reload` still work.
    }
  };
  add(dirname(configFile), (file) => file === basename(configFile));
  for (const directory of new Set(modelDirs)) add(directory, (file) => file.endsWith(".toml"));
  return {
    [Symbol.dispose]: () => {
      pending?.cancel();
      for (const watcher of watchers) watcher.close();
    },
  };
}
