import { join } from "node:path";
import { execa } from "execa";
import { packageRoot } from "./assistant.ts";
import { madeOnce } from "./once.ts";

/**
 * A folder with Python packages, for `PYTHONPATH`: installed once by the machine's own pip and kept among what tests
 * keep.
 * `name`: of the folder; it changes where the packages do.
 */
export const pythonPackages = (
  name: string,
  packages: readonly string[],
  options: readonly string[] = [],
): Promise<string> =>
  madeOnce(join(packageRoot, ".cache/python", name), async (draft) => {
    const args = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-compile", "--target", draft];
    await execa("python3", [...args, ...options, ...packages], { stdin: "ignore" });
  });
