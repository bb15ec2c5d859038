import { Flags } from "@oclif/core";
import { BaseCommand } from "./support/cli/base-command.ts";
import { agreed } from "./support/cli/confirm.ts";
import type { Pruned } from "./support/models/prune.ts";

export default class Prune extends BaseCommand {
  static override summary = "Delete unused files";
  static override description =
    "Deletes leftovers of interrupted pulls and deletions and, with --unused, " +
    "models that no model file (TOML) uses. Loaded models and running pulls are not touched.";
  static override examples = [
    { description: "Show what would be deleted", command: "<%= config.bin %> prune --unused --dry-run" },
    { description: "Delete unfinished downloads in a script", command: "<%= config.bin %> prune --yes" },
  ];
  static override flags = {
    unused: Flags.boolean({ description: "also delete models that are not configured" }),
    "dry-run": Flags.boolean({ description: "delete nothing" }),
    yes: Flags.boolean({ char: "y", description: "do not ask for confirmation" }),
  };

  async run(): Promise<Pruned> {
    const { flags } = await this.parse(Prune);
    const [{ planPrune, prune, prunedText }, { formatBytes }] = await Promise.all([
      import("./support/models/prune.ts"),
      import("../src/models/format.ts"),
    ]);
    const context = this.context(flags);
    const plan = await planPrune(context, { unused: flags.unused });
    const nothing = plan.leftovers.length + plan.models.length === 0;
    if (nothing || flags["dry-run"]) {
      this.log(nothing ? "There is nothing to delete." : prunedText(plan));
      return { ...plan, deleted: false };
    }
    this.say(prunedText(plan));
    if (!flags.yes && !(await agreed(`Delete ${formatBytes(plan.bytes)}?`, "prune", this.jsonEnabled()))) {
      this.log("Nothing was deleted.");
      return { ...plan, deleted: false };
    }
    await prune(plan, context);
    this.log(`Deleted ${formatBytes(plan.bytes)}.`);
    return { ...plan, deleted: true };
  }
}
