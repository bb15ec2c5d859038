import { Args, Flags } from "@oclif/core";
import { BaseCommand } from "./support/cli/base-command.ts";
import type { RegisteredModel } from "./support/models/register.ts";

export default class Register extends BaseCommand {
  static override summary = "Configure a model: a file, something pulled, or a preset";
  static override description =
    "Writes a model file (TOML) that fits this machine; a running daemon serves the model at once. A name without --file is that of a pulled model, else of a preset, which is pulled first.";
  static override examples = [
    { description: "A preset", command: "<%= config.bin %> register qwen2.5-7b-instruct" },
    {
      description: "A file of this machine",
      command: "<%= config.bin %> register mine --file ./model.gguf --ctx-size 8192",
    },
  ];
  static override args = { name: Args.string({ required: true, description: "name of the model, or of a preset" }) };
  static override flags = {
    file: Flags.string({ helpValue: "PATH", description: "GGUF file of this machine" }),
    embedding: Flags.boolean({ description: "it is an embedding model", dependsOn: ["file"] }),
    "ctx-size": Flags.integer({ helpValue: "TOKENS", min: 1, description: "tokens of context of one request" }),
    "gpu-layers": Flags.integer({ helpValue: "N", min: -1, description: "layers on the GPU; -1: all" }),
    quantization: Flags.string({
      helpValue: "NAME",
      description: "quantization of a preset (default: that of its file)",
      exclusive: ["file"],
    }),
    download: Flags.boolean({
      allowNo: true,
      default: true,
      description: "pull a preset's weights where they are not here",
    }),
  };

  async run(): Promise<RegisteredModel> {
    const { args, flags } = await this.parse(Register);
    const { registerModel, registeredText } = await import("./support/models/register.ts");
    const registered = await registerModel(
      {
        name: args.name,
        file: flags.file ?? null,
        embedding: flags.embedding,
        contextTokens: flags["ctx-size"],
        gpuLayers: flags["gpu-layers"],
        quantization: flags.quantization ?? null,
        download: flags.download,
      },
      this.context(flags),
      process.stderr,
    );
    this.log(registeredText(registered));
    if (registered.warning !== null) this.say(registered.warning);
    return registered;
  }
}
