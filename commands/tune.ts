import { Args, Flags } from "@oclif/core";
import { BaseCommand } from "./support/cli/base-command.ts";
import { EXIT_INTERRUPTED } from "./support/cli/interrupt.ts";
import type { TuneResult } from "./support/tune/tune-and-write.ts";

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
    const [{ tuneAndWrite }, { budgetOf }] = await Promise.all([import("./support/tune/tune-and-write.ts"), import("./support/tune/options.ts")]);
    const names = [...new Set(argv as string[])];
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
