import { cp, readdir, readFile, stat, writeFile } from "node:fs/promises";
import { basename, join, resolve } from "node:path";
import { AssistantError } from "../../../src/core/errors.ts";
import { packageRoot } from "../../../src/core/package.ts";
import { writing } from "../../../src/core/writing.ts";

const PLACEHOLDER = "WORKER_NAME";

/** Copies the template of a worker into a folder that is new. Throws `file_exists`, `invalid_request`. */
export async function writeWorker(
  name: string,
): Promise<{ readonly folder: string; readonly name: string; readonly files: readonly string[] }> {
  const folder = resolve(name);
  const worker = basename(folder);
  if (!/^[A-Za-z0-9][\w.-]*$/.test(worker))
    throw new AssistantError(
      "invalid_request",
      `A worker's name has letters, digits, ".", "_" and "-"; found "${worker}".`,
    );
  if (await stat(folder).catch(() => null))
    throw new AssistantError("file_exists", `${folder} already exists.`, { remedy: "Choose another name." });
  await writing("folder of the worker", folder, () =>
    cp(join(packageRoot, "templates/worker"), folder, { recursive: true, errorOnExist: true, force: false }),
  );
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile()).map(({ parentPath, name: file }) => join(parentPath, file));
  for (const file of files) await writeFile(file, (await readFile(file, "utf8")).replaceAll(PLACEHOLDER, worker));
  return { folder, name: worker, files: files.map((file) => file.slice(folder.length + 1)).sort() };
}
