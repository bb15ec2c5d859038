import { existsSync } from "node:fs";
import { mkdir, rm } from "node:fs/promises";
import { join } from "node:path";
import type { Paths } from "../core/config.ts";
import { writing } from "../core/writing.ts";

type Place = Pick<Paths, "dataDir">;

/** Exists while the store has keys: should the store be lost, doors that needed a key stay closed. */
export const storedKeysFile = ({ dataDir }: Place): string => join(dataDir, "keys-required");

/** Whether the store has keys, or had them before it was lost. */
export const hasStoredKeys = (paths: Place): boolean => existsSync(storedKeysFile(paths));

/** Durable when it resolves. */
export async function markStoredKeys(paths: Place, exist: boolean): Promise<void> {
  const file = storedKeysFile(paths);
  if (exist === existsSync(file)) return;
  if (!exist) return await rm(file, { force: true });
  const { default: writeFileAtomic } = await import("write-file-atomic");
  const text = "The store has API keys. While this file exists, requests over the network need one.\n";
  await writing("file", file, async () => {
    await mkdir(paths.dataDir, { recursive: true, mode: 0o700 });
    await writeFileAtomic(file, text, { mode: 0o600 });
  });
}
