import type { ListedModel, ModelElsewhere } from "../src/api/models.ts";
import { BaseCommand } from "./support/cli/base-command.ts";
import { showProgress } from "./support/cli/progress.ts";

export default class List extends BaseCommand {
  static override aliases = ["ls"];
  static override summary = "List models that are configured or pulled";
  static override examples = [
    { description: "List models", command: "<%= config.bin %> list" },
    { description: "As JSON, for scripts", command: "<%= config.bin %> list --json" },
  ];

  async run(): Promise<{ models: readonly ListedModel[]; elsewhere: readonly ModelElsewhere[] }> {
    const { flags } = await this.parse(List);
    const [{ elsewhereLines, listedModels, listRows, NO_MODELS, remarkLines }, { alignColumns }] = await Promise.all([
      import("./support/models/list.ts"),
      import("../src/ui/table.ts"),
    ]);
    using progress = showProgress(this.jsonEnabled() ? { write: () => true } : process.stderr, "Reading model files");
    const { models, elsewhere, problem } = await listedModels(this.context(flags), (done, all) =>
      progress.update(`Reading model files, ${done} of ${all}`),
    );
    progress.stop();
    if (problem !== null) this.say(problem);
    this.log(models.length === 0 ? NO_MODELS : alignColumns(listRows(models, Date.now())).join("\n"));
    for (const line of remarkLines(models)) this.log(line);
    for (const line of elsewhereLines(elsewhere)) this.log(line);
    return { models, elsewhere };
  }
}
