import { Args } from "@oclif/core";
import { removeBuilds } from "../../src/engines/llama-server/builds.ts";
import { BaseCommand } from "../support/cli/base-command.ts";

export default class EngineRm extends BaseCommand {
  static override strict = false;
  static override usage = "engine rm VERSION...";
  static override summary = "Delete builds of llama-server";
  static override description =
    "`assistant engine list` shows the builds. The build in use is not deleted: select another one first. " +
    "Instances that already run on a deleted build keep running.";
  static override examples = [
    { description: "Delete a build", command: "<%= config.bin %> engine rm v0.5.0-1a2b3c4d" },
  ];
  static override args = {
    version: Args.string({ required: true, description: "version of a build; several may follow" }),
  };

  async run(): Promise<{ readonly removed: readonly string[] }> {
    const { argv, flags } = await this.parse(EngineRm);
    const { paths } = this.context(flags);
    const removed = [...new Set(argv as string[])];
    await removeBuilds(paths.enginesDir, removed);
    for (const version of removed) this.log(`Deleted ${version}`);
    return { removed };
  }
}
