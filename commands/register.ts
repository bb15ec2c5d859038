import { Args, Flags } from "@oclif/core";
import { BaseCommand } from "./support/cli/base-command.ts";
import type { RegisteredModel } from "./support/models/register.ts";

export default class Register extends BaseCommand {
  static override summary = "Configure a model: a file, something pulled, a preset, or a model of a service";
  static override description =
    "Writes a model file (TOML) that fits this machine; a running daemon serves the model at once. A name without --file is that of a pulled model, else of a preset, which is pulled first.";
  static override examples = [
    { description: "A preset", command: "<%= config.bin %> register qwen2.5-7b-instruct" },
    {
      description: "A model of a service, whose key is in OPENAI_API_KEY",
      command: "<%= config.bin %> register gpt --provider openai --model gpt-5-mini",
    },
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
    provider: Flags.string({
      options: ["openai", "anthropic", "google", "openai_compatible", "litellm"],
      description: "a service runs it",
      exclusive: ["file", "quantization"],
      dependsOn: ["model"],
    }),
    model: Flags.string({ helpValue: "NAME", description: "its name at the service", dependsOn: ["provider"] }),
    "base-url": Flags.string({
      helpValue: "URL",
      description: "address of the service, with the version",
      dependsOn: ["provider"],
    }),
    "api-key-env": Flags.string({
      helpValue: "VARIABLE",
      description: "environment variable that holds its key (default: the usual one of the service)",
      dependsOn: ["provider"],
    }),
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
        service:
          flags.provider === undefined || flags.model === undefined
            ? null
            : {
                provider: flags.provider,
                model: flags.model,
                baseUrl: flags["base-url"] ?? null,
                keyVariable: flags["api-key-env"] ?? null,
              },
      },
      this.context(flags),
      process.stderr,
    );
    this.log(registeredText(registered));
    if (registered.warning !== null) this.say(registered.warning);
    return registered;
  }
}
