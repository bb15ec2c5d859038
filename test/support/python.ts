import { existsSync } from "node:fs";
import { mkdir, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { execa } from "execa";
import { packageRoot } from "./assistant.ts";

/**
 * A folder with Python packages, for `PYTHONPATH`: installed once by the machine's own pip and kept among what tests
 * keep.
 * `name`: of the folder; it changes where the packages do.
 */
export async function pythonPackages(
  name: string,
  packages: readonly string[],
  options: readonly string[] = [],
): Promise<string> {
  const folder = join(packageRoot, ".cache/python", name);
  if (existsSync(folder)) return folder;
  const draft = `${folder}.${process.pid}`;
  await mkdir(draft, { recursive: true });
  try {
    const args = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-compile", "--target", draft];
    await execa("python3", [...args, ...options, ...packages], { stdin: "ignore" });
    await rename(draft, folder);
  } finally {
    await rm(draft, { recursive: true, force: true });
  }
  return folder;
}
