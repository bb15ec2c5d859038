import { appendFile, mkdir, readFile, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";

const KEPT = 1000;

/** Lines of earlier chats, newest first; none if there is no readable file. */
export async function readHistory(file: string): Promise<string[]> {
  const text = await readFile(file, "utf8").catch(() => "");
  const lines = text.split("\n").filter((line) => line !== "");
  if (lines.length > KEPT * 2)
    await writeFile(file, `${lines.slice(-KEPT).join("\n")}\n`, { mode: 0o600 }).catch(() => undefined);
  return lines.slice(-KEPT).reverse();
}

/** Adds a line. The history is private: mode 0600. A chat continues without history if it cannot be written. */
export async function appendHistory(file: string, line: string): Promise<void> {
  if (line.trim() === "") return;
  await mkdir(dirname(file), { recursive: true, mode: 0o700 }).catch(() => undefined);
  await appendFile(file, `${line.replaceAll("\n", " ")}\n`, { mode: 0o600 }).catch(() => undefined);
}

export const historyFile = (dataDir: string): string => join(dataDir, "run-history");
