import { Args, Flags } from "@oclif/core";
import { BaseCommand } from "./support/cli/base-command.ts";
import { agreed } from "./support/cli/confirm.ts";

export default class Unregister extends BaseCommand {
  static override summary = "Delete a model's file (TOML), so that it is served no longer";
  static override description =
    "A running daemon lets its requests finish and stops it. The weights stay; `assistant rm` deletes those. Refuses a model that shares its file with others.";
  static override examples = [
    { description: "Take a model out of the configuration", command: "<%= config.bin %> unregister mine" },
  ];
  static override args = { name: Args.string({ required: true, description: "name of a configured model" }) };
  static override flags = { yes: Flags.boolean({ char: "y", description: "do not ask for confirmation" }) };

  async run(): Promise<{ removed: string | null; file: string | null }> {
    const { args, flags } = await this.parse(Unregister);
    if (!flags.yes && !(await agreed(`Delete the model file of ${args.name}?`, "unregister", this.jsonEnabled()))) {
      this.log("Nothing was deleted.");
      return { removed: null, file: null };
    }
    const { registryOf } = await import("./support/models/presets.ts");
    const { name, file } = await registryOf(
      this.context(flags),
      process.stderr,
      new AbortController().signal,
    ).unregister(args.name);
    this.log(`Deleted ${file}. Its weights are still here.`);
    return { removed: name, file };
  }
}
