import { Args, Flags } from "@oclif/core";
import { BaseCommand } from "./support/cli/base-command.ts";
import { agreed } from "./support/cli/confirm.ts";
import type { Removal } from "./support/models/remove.ts";

export default class Rm extends BaseCommand {
  static override strict = false;
  static override usage = "rm NAME...";
  static override summary = "Delete pulled models";
  static override description =
    "Deletes the weights and keeps model files (TOML). Refuses a model that is loaded, " +
    "or whose weights were not pulled.";
  static override examples = [
    { description: "Delete a model; asks first on a terminal", command: "<%= config.bin %> rm smollm2" },
    {
      description: "Delete two models without confirmation, in a script",
      command: "<%= config.bin %> rm smollm2 other --yes",
    },
  ];
  static override args = {
    name: Args.string({ required: true, description: "name (see `assistant list`); several may follow" }),
  };
  static override flags = { yes: Flags.boolean({ char: "y", description: "do not ask for confirmation" }) };

  async run(): Promise<{ removed: readonly Removal[] }> {
    const { argv, flags } = await this.parse(Rm);
    const [{ planRemoval, removalRemarks, removeAll }, { formatBytes }] = await Promise.all([
      import("./support/models/remove.ts"),
      import("../src/models/format.ts"),
    ]);
    const context = this.context(flags);
    const removals = await planRemoval(argv as string[], context);
    const list = removals.map(({ name, bytes }) => `${name} (${formatBytes(bytes)})`).join(", ");
    if (!flags.yes && !(await agreed(`Delete ${list}?`, "rm", this.jsonEnabled()))) {
      this.log("Nothing was deleted.");
      return { removed: [] };
    }
    await removeAll(removals, context, ({ name, bytes }) => this.log(`Deleted ${name} (${formatBytes(bytes)}).`));
    for (const line of removals.flatMap(removalRemarks)) this.say(line);
    return { removed: removals };
  }
}
