import { mkdir, readFile } from "node:fs/promises";
import { dirname } from "node:path";
import writeFileAtomic from "write-file-atomic";

/** Name of the file in a data directory. */
export const ESTIMATES_FILE = "memory-estimates.json";

type Entries = readonly (readonly [key: string, estimate: unknown])[];

const entriesIn = async (file: string): Promise<Entries> => {
  try {
    return JSON.parse(await readFile(file, "utf8")) as Entries;
  } catch {
    // Nothing was estimated yet.
    return [];
  }
};

/**
 * Adds the memory estimates of one file to those of another: installations with the same weights would each take a
 * second of a core for the same. Of two that add at once one may be lost, and is made again.
 */
export async function addEstimates(from: string, to: string): Promise<void> {
  const [found, known] = await Promise.all([entriesIn(from), entriesIn(to)]);
  const keys = new Set(known.map(([key]) => key));
  const more = found.filter(([key]) => !keys.has(key));
  if (more.length === 0) return;
  await mkdir(dirname(to), { recursive: true, mode: 0o700 });
  await writeFileAtomic(to, JSON.stringify([...known, ...more]));
}
