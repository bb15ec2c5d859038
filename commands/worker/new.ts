import { Args } from "@oclif/core";
import { BaseCommand } from "../support/cli/base-command.ts";
import { writeWorker } from "../support/worker/new.ts";

export default class WorkerNew extends BaseCommand {
  static override summary = "Create a new worker in a folder";
  static override description =
    "Writes a layout, a sample model and filter in TypeScript, and a Dockerfile. Existing files are not overwritten.";
  static override examples = [
    { description: "Write ./shout, and run it", command: "<%= config.bin %> worker new shout" },
  ];
  static override args = { name: Args.string({ required: true, description: "name of the folder and the worker" }) };

  async run(): Promise<{ folder: string; files: readonly string[] }> {
    const { args } = await this.parse(WorkerNew);
    const written = await writeWorker(args.name);
    this.log(`${written.folder} has ${written.files.join(", ")}.`);
    this.log(`Run it:\n  assistant worker run ${args.name}`);
    return { folder: written.folder, files: written.files };
  }
}
