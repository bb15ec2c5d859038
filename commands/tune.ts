import { availableParallelism, loadavg } from "node:os";
import { Args, Flags } from "@oclif/core";
import type { LineChange } from "../src/config/edit.ts";
import { BaseCommand } from "./support/cli/base-command.ts";
import type { TuneReport } from "./support/tune/tune.ts";

interface TuneResult extends TuneReport {
  /** Whether the file was changed. */
  readonly written: boolean;
  readonly edit: readonly LineChange[];
  /** A running daemon has read it. */
  readonly reloaded: boolean;
}

interface TuneFlags {
  readonly config?: string | undefined;
  readonly for: "latency" | "throughput" | "balanced";
  readonly budget: string;
  readonly streams?: number | undefined;
  readonly stop: boolean;
  readonly "dry-run": boolean;
  readonly yes: boolean;
}

const INTERRUPTED = 130;

export default class Tune extends BaseCommand {
  static override summary = "Measure which settings serve a model best here, and write them into its file";
  static override description =
    "Starts the model's engine, alone on its device, with one combination of threads, batch, slots and cache type after the other, measures prompts and answers, " +
    "and changes those keys of the model's file; comments and other keys stay. On a terminal it asks first. No batch that takes over 200 ms is chosen. " +
    "Several models are measured one after the other, each with the threads that it has while all of them run.";
  static override examples = [
    { description: "For one request and for several at once alike", command: "<%= config.bin %> tune smollm2" },
    { description: "For many clients, and take the time", command: "<%= config.bin %> tune smollm2 --for throughput --budget 10m" },
    { description: "For models that run at the same time", command: "<%= config.bin %> tune smollm2 minilm" },
    { description: "Look only", command: "<%= config.bin %> tune smollm2 --dry-run" },
  ];
  static override strict = false;
  static override usage = "tune MODEL...";
  static override args = { model: Args.string({ required: true, description: "name or alias of a configured model; several may follow" }) };
  static override flags = {
    for: Flags.option({
      options: ["latency", "throughput", "balanced"] as const,
      default: "balanced",
      description: "one request alone, many at once, or both",
    })(),
    budget: Flags.string({ default: "120s", helpValue: "TIME", description: "time for measuring each model, such as 90s or 5m; more of it tries more" }),
    streams: Flags.integer({ min: 2, max: 256, description: "requests at once in the measurement (default: 4 on a CPU, 16 on a GPU)" }),
    stop: Flags.boolean({ description: "stop the daemon's instances on the device first" }),
    "dry-run": Flags.boolean({ description: "show what would be written, write nothing" }),
    yes: Flags.boolean({ char: "y", description: "do not ask" }),
  };

  async run(): Promise<TuneResult | readonly TuneResult[]> {
    const { argv, flags } = await this.parse(Tune);
    const names = [...new Set(argv as string[])];
    const results: TuneResult[] = [];
    for (const name of names) {
      if (results.length > 0) this.log("");
      results.push(await this.#tune(name, names, flags));
    }
    return results.length === 1 && results[0] !== undefined ? results[0] : results;
  }

  async #tune(model: string, names: readonly string[], flags: TuneFlags): Promise<TuneResult> {
    const [{ tune }, { planEdit }, options, text, { alignColumns }, { showProgress }] = await Promise.all([
      import("./support/tune/tune.ts"),
      import("./support/tune/apply.ts"),
      import("./support/tune/options.ts"),
      import("./support/tune/report.ts"),
      import("../src/ui/table.ts"),
      import("./support/cli/progress.ts"),
    ]);
    const context = this.context(flags);
    const budgetMs = options.budgetOf(flags.budget);
    const noise = options.noiseText(loadavg()[0] ?? 0, availableParallelism());
    if (noise !== null) this.say(noise);

    const stop = new AbortController();
    const interrupt = (): void => stop.abort();
    process.on("SIGINT", interrupt).on("SIGTERM", interrupt);
    const progress = showProgress(this.jsonEnabled() ? { write: () => {} } : process.stderr, `tuning ${model}`);
    let report: TuneReport;
    try {
      const beside = names.filter((name) => name !== model);
      const request = { context, model, beside, objective: flags.for, budgetMs, streams: flags.streams ?? null, stop: flags.stop, signal: stop.signal };
      report = await tune({ ...request, onProgress: (now) => progress.update(text.progressText(model, now)) });
    } catch (error) {
      if (!stop.signal.aborted) throw error;
      progress.stop();
      this.say("Stopped. Nothing was changed.");
      return this.exit(INTERRUPTED);
    } finally {
      progress.stop();
      process.off("SIGINT", interrupt).off("SIGTERM", interrupt);
    }
    if (noise !== null) report = { ...report, doubts: [noise, ...report.doubts] };
    for (const line of [...alignColumns(text.triedRows(report)), "", ...text.conclusion(report)]) this.log(line);

    const edit = await planEdit(report, context);
    if (edit === null) return { ...report, written: false, edit: [], reloaded: false };
    for (const line of ["", ...text.diffLines(edit.file, edit.changes)]) this.log(line);
    if (!(await this.#agreed(edit.file, flags))) return { ...report, written: false, edit: edit.changes, reloaded: false };
    const { applyEdit } = await import("./support/tune/apply.ts");
    const { reload } = await applyEdit(edit, context);
    this.log(`\nWrote ${edit.file}`);
    if (reload !== null) {
      const { reloadMessage } = await import("./support/daemon/reload-message.ts");
      for (const line of reloadMessage(reload)) this.log(line);
    }
    return { ...report, written: true, edit: edit.changes, reloaded: reload !== null };
  }

  async #agreed(file: string, flags: { readonly "dry-run": boolean; readonly yes: boolean }): Promise<boolean> {
    if (flags["dry-run"]) {
      this.log("\nNothing was written (--dry-run).");
      return false;
    }
    if (flags.yes || this.jsonEnabled() || process.stdin.isTTY !== true || process.stderr.isTTY !== true) return true;
    const { confirmed } = await import("./support/cli/confirm.ts");
    if (await confirmed(`Write this to ${file}?`)) return true;
    this.log("Nothing was written.");
    return false;
  }
}
