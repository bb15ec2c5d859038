import { Args, Flags } from "@oclif/core";
import { BaseCommand } from "./support/cli/base-command.ts";
import { showProgress } from "./support/cli/progress.ts";
import type { FoundModel } from "./support/models/search.ts";

export default class Search extends BaseCommand {
  static override strict = false;
  static override usage = "search [TEXT...] [OPTIONS]";
  static override summary = "Search models that can be pulled by name, and the Hugging Face hub";
  static override description =
    "Lists the models known by name, including your own presets, without network access. " +
    "SIZE is the disk space of models on this machine. FITS shows where this machine currently has enough memory " +
    "for a model (gpu, cpu, or no), QUANT the recommended quantization.";
  static override examples = [
    { description: "All models known by name", command: "<%= config.bin %> search" },
    {
      description: "Models whose name, repository or licence contains both words",
      command: "<%= config.bin %> search qwen apache",
    },
    { description: "Also GGUF repositories of the hub", command: "<%= config.bin %> search granite --hub" },
  ];
  static override args = { text: Args.string({ description: "words to look for; several may follow" }) };
  static override flags = {
    hub: Flags.boolean({ description: "also search the Hugging Face hub (honours HF_ENDPOINT and HF_TOKEN)" }),
  };

  async run(): Promise<{ models: readonly FoundModel[] }> {
    const { argv, flags } = await this.parse(Search);
    const [{ searchModels, searchRows }, { alignColumns }] = await Promise.all([
      import("./support/models/search.ts"),
      import("../src/ui/table.ts"),
    ]);
    using _progress = showProgress(process.stderr, "searching");
    const models = await searchModels((argv as string[]).join(" "), flags, this.context(flags));
    this.log(
      models.length === 0
        ? `Nothing known by name matches${flags.hub ? ", and nothing on the hub" : "; `--hub` searches the Hugging Face hub too"}.`
        : alignColumns(searchRows(models)).join("\n"),
    );
    return { models };
  }
}
