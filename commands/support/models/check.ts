import { formatBytes } from "../../../src/models/format.ts";
import type { Compatibility } from "../../../src/models/presets/compatibility.ts";
import type { CommandContext } from "../cli/context.ts";
import { showProgress } from "../cli/progress.ts";
import { hubOf, registryOf } from "./presets.ts";

/** What `check --json` prints. */
export interface CheckedPreset extends Compatibility {
  readonly preset: string;
  /** Where the weights are on this machine, or null. */
  readonly file: string | null;
  readonly bytes: number | null;
  /** Whether the hub has them; null: it could not be asked. */
  readonly isOnHub: boolean | null;
}

/** Whether a local preset fits, and where its weights are. Throws `model_not_found`. */
export async function checkPreset(
  name: string,
  quantization: string | null,
  context: CommandContext,
): Promise<CheckedPreset> {
  const registry = registryOf(context, process.stderr, new AbortController().signal);
  const compatibility = await registry.compatibility(name, quantization);
  const { preset, file, bytes } = await registry.presetFile(name);
  using _progress = showProgress(process.stderr, "asking the hub");
  const isOnHub = await hubOf(context).has(preset.repo, preset.filename);
  return { preset: preset.name, ...compatibility, file, bytes, isOnHub };
}

/** The same for people. Pure. */
export function checkText(checked: CheckedPreset): string {
  const { preset, compatible, requiredMib, availableMib, recommended, warning, file, bytes, isOnHub } = checked;
  const fits = `${preset} fits: it needs about ${requiredMib} MB of GPU memory, and ${availableMib} MB are available.`;
  const where =
    file !== null
      ? `Its weights are here: ${file} (${formatBytes(bytes ?? 0)})`
      : isOnHub === false
        ? "Its weights are not on this machine, and Hugging Face does not have them."
        : `Its weights are not on this machine; \`assistant pull ${preset}\` downloads them${isOnHub === null ? " (Hugging Face could not be reached)" : ""}.`;
  return [
    compatible ? fits : (warning ?? ""),
    ...(recommended === null ? [] : [`Recommended quantization: ${recommended}`]),
    where,
  ].join("\n");
}
