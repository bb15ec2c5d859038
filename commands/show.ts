import { Args } from "@oclif/core";
import { BaseCommand } from "./support/cli/base-command.ts";
import type { ShownModel } from "./support/models/shown.ts";

export default class Show extends BaseCommand {
  static override summary = "Show model details";
  static override description =
    "Shows facts from the file's header, licence, digest, configuration, and the memory that one instance needs.";
  static override examples = [
    { description: "One model", command: "<%= config.bin %> show smollm2" },
    { description: "A model before it is downloaded", command: "<%= config.bin %> show hf:ORG/REPO:Q4_K_M" },
  ];
  static override args = {
    name: Args.string({
      required: true,
      description:
        "name or alias (see `assistant list`), a catalog name, or any reference that `assistant pull` accepts",
    }),
  };

  async run(): Promise<ShownModel> {
    const { args, flags } = await this.parse(Show);
    const [{ shownModel }, { showRows }, { alignColumns }] = await Promise.all([
      import("./support/models/show.ts"),
      import("./support/models/shown.ts"),
      import("../src/ui/table.ts"),
    ]);
    const model = await shownModel(args.name, this.context(flags));
    this.log(alignColumns(showRows(model)).join("\n"));
    return model;
  }
}
