import { BaseCommand } from "./support/cli/base-command.ts";
import type { ModelElsewhere } from "./support/models/elsewhere.ts";
import type { ListedModel } from "./support/models/list.ts";

export default class List extends BaseCommand {
  static override aliases = ["ls"];
  static override summary = "Models that are configured or pulled";
  static override examples = [
    { description: "A table", command: "<%= config.bin %> list" },
    { description: "For programs", command: "<%= config.bin %> list --json" },
  ];

  async run(): Promise<{ models: readonly ListedModel[]; elsewhere: readonly ModelElsewhere[] }> {
    const { flags } = await this.parse(List);
    const [{ elsewhereLines, listedModels, listRows, NO_MODELS }, { alignColumns }] = await Promise.all([
      import("./support/models/list.ts"),
      import("../src/ui/table.ts"),
    ]);
    const { models, elsewhere, problem } = await listedModels(this.context(flags));
    if (problem !== null) this.say(`The configuration cannot be read, so only files are listed:\n${problem}`);
    this.log(models.length === 0 ? NO_MODELS : alignColumns(listRows(models, Date.now())).join("\n"));
    for (const line of elsewhereLines(elsewhere)) this.log(line);
    return { models, elsewhere };
  }
}
