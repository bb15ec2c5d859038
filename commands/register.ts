import { Args, Flags } from "@oclif/core";
import { BaseCommand } from "./support/cli/base-command.ts";
import type { RegisteredModel } from "./support/models/register.ts";

export default class Register extends BaseCommand {
  static override summary = "Configure a model: a file, a pulled model, a preset, or a provider's model";
  static override description =
    "Writes a model file (TOML) that fits this machine; a running daemon serves the model at once. " +
    "Without --file, NAME is a pulled model, or else a preset, which is pulled first.";
  static override examples = [
    { description: "A preset", command: "<%= config.bin %> register qwen2.5-7b-instruct" },
    {
      description: "A provider's model, whose key is in OPENAI_API_KEY",
      command: "<%= config.bin %> register gpt --provider openai --model gpt-5-mini",
    },
    {
      description: "A file on this machine",
      command: "<%= config.bin %> register mine --file ./model.gguf --ctx-size 8192",
    },
  ];
  static override args = { name: Args.string({ required: true, description: "name of the model, or of a preset" }) };
  static override flags = {
    file: Flags.string({ helpValue: "PATH", description: "GGUF file on this machine" }),
    embedding: Flags.boolean({ description: "it is an embedding model", dependsOn: ["file"] }),
    "ctx-size": Flags.integer({ helpValue: "TOKENS", min: 1, description: "context of one request, in tokens" }),
    "gpu-layers": Flags.integer({ helpValue: "N", min: -1, description: "layers on the GPU; -1: all" }),
    provider: Flags.string({
      options: ["openai", "anthropic", "google", "openai_compatible", "litellm"],
      description: "provider that runs it",
      exclusive: ["file", "quantization"],
      dependsOn: ["model"],
    }),
    model: Flags.string({
      helpValue: "NAME",
      description: "the provider's name of the model",
      dependsOn: ["provider"],
    }),
    "base-url": Flags.string({
      helpValue: "URL",
      description: "base URL of the provider, including the version",
      dependsOn: ["provider"],
    }),
    "api-key-env": Flags.string({
      helpValue: "VARIABLE",
      description: "environment variable that holds the API key (default: the provider's usual one)",
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
      description: "pull a preset's weights if they are not on this machine",
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
