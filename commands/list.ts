import { BaseCommand } from "../src/client/cli/base-command.ts";
import type { ListedModel } from "../src/client/models/list.ts";

export default class List extends BaseCommand {
  static override aliases = ["ls"];
  static override summary = "Models that are configured or pulled";
  static override examples = [
    { description: "A table", command: "<%= config.bin %> list" },
    { description: "For programs", command: "<%= config.bin %> list --json" },
  ];

  async run(): Promise<{ models: readonly ListedModel[] }> {
    const { flags } = await this.parse(List);
    const { listedModels, listText } = await import("../src/client/models/list.ts");
    const { models, problem } = await listedModels(this.context(flags));
    if (problem !== null) this.say(`The configuration cannot be read, so only files are listed:\n${problem}`);
    this.log(listText(models, Date.now()));
    return { models };
  }
}
