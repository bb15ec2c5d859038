import { availableParallelism, loadavg } from "node:os";
import type { LineChange } from "../../../src/config/edit.ts";
import { alignColumns } from "../../../src/ui/table.ts";
import { interruptible } from "../cli/interrupt.ts";
import { type ProgressStream, showProgress } from "../cli/progress.ts";
import { reloadMessage } from "../daemon/reload-message.ts";
import { applyEdit, planEdit } from "./apply.ts";
import { noiseText } from "./options.ts";
import { conclusion, diffLines, progressText, triedRows } from "./report.ts";
import { type TuneReport, type TuneRequest, tune } from "./tune.ts";

export interface TuneAndWriteOptions extends Omit<TuneRequest, "signal" | "onProgress"> {
  /** Whether the file may be changed; asked once the changes are shown. */
  readonly agreed: (file: string) => Promise<boolean>;
  /** The result, and remarks in addition to it. */
  readonly print: (line: string) => void;
  readonly say: (line: string) => void;
  readonly progress: ProgressStream;
}

export interface TuneResult extends TuneReport {
  /** Whether the file was changed. */
  readonly written: boolean;
  readonly edit: readonly LineChange[];
  /** A running daemon has read it. */
  readonly reloaded: boolean;
}

/** Measures, shows what came of it and brings it into the model's file. Null after Ctrl-C: nothing was changed then. */
export async function tuneAndWrite(options: TuneAndWriteOptions): Promise<TuneResult | null> {
  const { context, print } = options;
  const noise = noiseText(loadavg()[0] ?? 0, availableParallelism());
  if (noise !== null) options.say(noise);
  const measured = await measureShown(options);
  if (measured === null) return null;
  const report = noise === null ? measured : { ...measured, doubts: [noise, ...measured.doubts] };
  for (const line of [...alignColumns(triedRows(report)), "", ...conclusion(report)]) print(line);

  const edit = await planEdit(report, context);
  if (edit === null) return { ...report, written: false, edit: [], reloaded: false };
  for (const line of ["", ...diffLines(edit.file, edit.changes)]) print(line);
  if (!(await options.agreed(edit.file))) return { ...report, written: false, edit: edit.changes, reloaded: false };
  const { reload } = await applyEdit(edit, context);
  print(`\nWrote ${edit.file}`);
  if (reload !== null) reloadMessage(reload).forEach(print);
  return { ...report, written: true, edit: edit.changes, reloaded: reload !== null };
}

async function measureShown(options: TuneAndWriteOptions): Promise<TuneReport | null> {
  using interrupt = interruptible();
  using progress = showProgress(options.progress, `tuning ${options.model}`);
  try {
    const { signal } = interrupt;
    return await tune({ ...options, signal, onProgress: (now) => progress.update(progressText(options.model, now)) });
  } catch (error) {
    if (!interrupt.signal.aborted) throw error;
    progress.stop();
    options.say("Stopped. Nothing was changed.");
    return null;
  }
}
