import { Args, Flags } from "@oclif/core";
import { BaseCommand } from "./support/cli/base-command.ts";
import { EXIT_INTERRUPTED } from "./support/cli/interrupt.ts";
import type { TuneResult } from "./support/tune/tune-and-write.ts";

export default class Tune extends BaseCommand {
  static override summary = "Find the fastest settings for a model on this machine and write them to its file";
  static override description =
    "Starts the model's engine, alone on its device, with different threads, batch sizes, slots and cache types, " +
    "measures prompts and answers, and changes those keys of the model's file; " +
    "comments and other keys stay as they are. On a terminal it asks first. " +
    "Never chooses a batch that takes over 200 ms. Several models are measured one after the other, " +
    "each with the threads it gets while all of them run.";
  static override examples = [
    { description: "Balance one request alone and several at once", command: "<%= config.bin %> tune smollm2" },
    {
      description: "For many clients, and take more time",
      command: "<%= config.bin %> tune smollm2 --for throughput --budget 10m",
    },
    { description: "For models that run at the same time", command: "<%= config.bin %> tune smollm2 minilm" },
    { description: "Only show the result", command: "<%= config.bin %> tune smollm2 --dry-run" },
  ];
  static override strict = false;
  static override usage = "tune MODEL...";
  static override args = {
    model: Args.string({ required: true, description: "name or alias of a configured model; several may follow" }),
  };
  static override flags = {
    for: Flags.option({
      options: ["latency", "throughput", "balanced"] as const,
      default: "balanced",
      description: "one request alone, many at once, or both",
    })(),
    budget: Flags.string({
      default: "120s",
      helpValue: "TIME",
      description: "time to measure each model, such as 90s or 5m; more time tries more settings",
    }),
    streams: Flags.integer({
      min: 2,
      max: 256,
      description: "concurrent requests in the measurement (default: 4 on a CPU, 16 on a GPU)",
    }),
    stop: Flags.boolean({ description: "stop the daemon's instances on the device first" }),
    "dry-run": Flags.boolean({ description: "show what would be written, write nothing" }),
    yes: Flags.boolean({ char: "y", description: "do not ask for confirmation" }),
  };

  async run(): Promise<TuneResult | readonly TuneResult[]> {
    const { argv, flags } = await this.parse(Tune);
    const [{ tuneAndWrite }, { budgetOf }, { findTarget }] = await Promise.all([
      import("./support/tune/tune-and-write.ts"),
      import("./support/tune/options.ts"),
      import("./support/tune/target.ts"),
    ]);
    const names = [...new Set(argv as string[])];
    // A wrong name is reported before anything is measured for minutes.
    for (const name of names) await findTarget(name, this.context(flags));
    const results: TuneResult[] = [];
    for (const model of names) {
      if (results.length > 0) this.log("");
      const result = await tuneAndWrite({
        context: this.context(flags),
        model,
        beside: names.filter((name) => name !== model),
        objective: flags.for,
        budgetMs: budgetOf(flags.budget),
        streams: flags.streams ?? null,
        stop: flags.stop,
        agreed: (file) => this.#agreed(file, flags),
        print: (line) => this.log(line),
        say: (line) => this.say(line),
        progress: this.jsonEnabled() ? { write: () => {} } : process.stderr,
      });
      if (result === null) return this.exit(EXIT_INTERRUPTED);
      results.push(result);
    }
    return results.length === 1 && results[0] !== undefined ? results[0] : results;
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
