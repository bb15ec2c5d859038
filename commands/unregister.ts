import { Args, Flags } from "@oclif/core";
import { BaseCommand } from "./support/cli/base-command.ts";
import { agreed } from "./support/cli/confirm.ts";

export default class Unregister extends BaseCommand {
  static override summary = "Remove a model from the configuration by deleting its file (TOML)";
  static override description =
    "A running daemon lets the model's requests finish, then stops it. " +
    "The weights are kept; `assistant rm` deletes those. Fails if the file contains other models.";
  static override examples = [{ description: "Remove a model", command: "<%= config.bin %> unregister mine" }];
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
