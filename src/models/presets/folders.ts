import path from "node:path";
import { type Environment, variable } from "../../config/environment.ts";
import { pathIn } from "../../config/paths.ts";
import type { Paths } from "../../core/config.ts";

/** A folder of preset files of the user's. */
export interface PresetFolder {
  readonly directory: string;
  /** `HF_PRESETS_DIR` names it: that it is missing is worth a word. */
  readonly isChosen: boolean;
}

/** The user's folders, the one that wins last. */
export function presetFolders({ configFile }: Pick<Paths, "configFile">, env: Environment): readonly PresetFolder[] {
  const besideConfig = { directory: path.join(path.dirname(configFile), "presets"), isChosen: false };
  const chosen = variable(env, "HF_PRESETS_DIR");
  if (chosen === null) return [besideConfig];
  return [besideConfig, { directory: pathIn(path.join(process.cwd(), "HF_PRESETS_DIR"), chosen, env), isChosen: true }];
}
