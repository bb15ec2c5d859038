import { readdir, readFile, stat } from "node:fs/promises";
import path from "node:path";
import type { Environment } from "../../config/environment.ts";
import { templatePath } from "../../config/templates.ts";
import type { ConfigNotice, Paths } from "../../core/config.ts";
import { readEntries, type Warn } from "./entries.ts";
import { presetFolders } from "./folders.ts";
import { type Preset, Presets } from "./preset.ts";

const FILE = /^(local|cloud|embedding)(?:_models)?\.ya?ml$/;
const MAX_FILE_BYTES = 1024 * 1024;

/**
 * Reads the included presets, those in `presets/` next to config.toml, and those in `HF_PRESETS_DIR`; a later one with
 * the same name replaces an earlier one. Never rejects: a file or an entry that cannot be used is ignored, and a notice
 * gives the reason.
 */
export async function loadPresets(paths: Pick<Paths, "configFile">, env: Environment): Promise<Presets> {
  const notices: ConfigNotice[] = [];
  const presets: Preset[] = [];
  const builtIn = templatePath("presets");
  for (const { directory, isChosen } of [{ directory: builtIn, isChosen: false }, ...presetFolders(paths, env)]) {
    const warn = (file: string, line: number | null, key: string | null, message: string): void =>
      void notices.push({ severity: "warning", file, line, key, message });
    for (const { file, kind } of await filesOf(directory, isChosen, warn)) {
      const text = await textOf(file, warn);
      if (text !== null)
        presets.push(...readEntries(text, kind, { file, isBuiltIn: directory === builtIn, warn, env }));
    }
  }
  return new Presets(presets, notices);
}

async function filesOf(
  directory: string,
  isChosen: boolean,
  warn: Warn,
): Promise<readonly { readonly file: string; readonly kind: Preset["kind"] }[]> {
  let names: string[];
  try {
    names = (await readdir(directory)).sort();
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    if (code !== "ENOENT") warn(directory, null, null, `the folder of presets cannot be read: ${code ?? message}`);
    else if (isChosen) warn(directory, null, null, "the folder that HF_PRESETS_DIR names does not exist");
    return [];
  }
  return names.flatMap((name) => {
    const kind = FILE.exec(name)?.[1] as Preset["kind"] | undefined;
    const file = path.join(directory, name);
    if (kind !== undefined) return [{ file, kind }];
    if (/\.ya?ml$/i.test(name) && !name.startsWith("."))
      warn(file, null, null, "is not read: expected local.yaml, cloud.yaml or embedding.yaml");
    return [];
  });
}

async function textOf(file: string, warn: Warn): Promise<string | null> {
  try {
    const { size } = await stat(file);
    if (size <= MAX_FILE_BYTES) return await readFile(file, "utf8");
    warn(file, null, null, `is not read: expected at most 1 MiB, found ${size} bytes`);
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    warn(file, null, null, `cannot be read: ${code ?? message}`);
  }
  return null;
}
