import { existsSync, readFileSync } from "node:fs";
import { enableCompileCache } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

function findRoot(): string {
  // Sources run from src/, builds from somewhere in dist/: the root is the folder with package.json in both cases.
  let folder = dirname(fileURLToPath(import.meta.url));
  while (!existsSync(join(folder, "package.json"))) {
    const parent = dirname(folder);
    if (parent === folder) throw new Error("this installation has no package.json; reinstall it");
    folder = parent;
  }
  return folder;
}

/** The installation's directory: where package.json, templates and patches are. */
export const packageRoot: string = findRoot();

const isSource = import.meta.url.endsWith(".ts");

/**
 * One of our own programs, named by its source without extension: the source where this code is one, else what is built
 * of it.
 */
export const programFile = (name: string): string =>
  isSource ? join(packageRoot, `${name}.ts`) : join(packageRoot, "dist", `${name}.js`);

/** Keeps what Node.js makes of modules that are imported from here on, for the next start of the program. */
export const keepCompiledCode = (): void => void enableCompileCache(join(packageRoot, "dist/.compile-cache"));

/** The product's version, from package.json. */
export const version: string = (
  JSON.parse(readFileSync(join(packageRoot, "package.json"), "utf8")) as { version: string }
).version;
