import { readFile } from "node:fs/promises";
import writeFileAtomic from "write-file-atomic";
import type { ReloadReport } from "../../../src/api/reload.ts";
import { connectIfRunning } from "../../../src/client/daemon-client.ts";
import { type EditedText, setKeys } from "../../../src/config/edit.ts";
import { AssistantError } from "../../../src/core/errors.ts";
import type { CommandContext } from "../cli/context.ts";
import type { TuneReport } from "./tune.ts";

/** The model's file as it would be. `before` is its text now. */
export interface PlannedEdit extends EditedText {
  readonly file: string;
  readonly before: string;
}

// New lines are put behind the last of these.
const NEIGHBOURS = ["n_gpu_layers", "ctx_size"];

/**
 * The edit that applies the report's settings to the model's file: only those keys. Null if there is nothing to change.
 * Throws `config_invalid`, with the lines to write by hand, if the model has no file or its layout does not allow it.
 */
export async function planEdit(
  { file, section, changes, model }: TuneReport,
  context: CommandContext,
): Promise<PlannedEdit | null> {
  if (changes.length === 0) return null;
  if (file === context.paths.configFile) {
    throw new AssistantError(
      "config_invalid",
      `${model} has no separate file that could be changed; it is an entry of ${file}.`,
      {
        remedy: `Give the entry a \`config_path\`, and write there under [${section}]: ${changes.map(({ key, to }) => `${key} = ${JSON.stringify(to)}`).join(", ")}.`,
      },
    );
  }
  const before = await readFile(file, "utf8");
  const values = Object.fromEntries(changes.map(({ key, to }) => [key, to]));
  return { file, before, ...setKeys(file, before, section, values, NEIGHBOURS) };
}

/** Writes the file atomically, and has a running daemon read it. Throws if it has changed since it was read. */
export async function applyEdit(edit: PlannedEdit, context: CommandContext): Promise<{ reload: ReloadReport | null }> {
  if ((await readFile(edit.file, "utf8")) !== edit.before) {
    throw new AssistantError("file_exists", `${edit.file} was changed in the meantime, so it was not overwritten.`, {
      remedy: "Run `assistant tune` again.",
    });
  }
  await writeFileAtomic(edit.file, edit.text);
  const running = await connectIfRunning(context.paths);
  return { reload: running === null ? null : await running.client.reload() };
}
