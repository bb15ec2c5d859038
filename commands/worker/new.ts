import { Args } from "@oclif/core";
import { BaseCommand } from "../support/cli/base-command.ts";
import { writeWorker } from "../support/worker/new.ts";

export default class WorkerNew extends BaseCommand {
  static override summary = "Write the folder of a new worker";
  static override description =
    "Writes a layout, a model and a filter in TypeScript to start from, and a Dockerfile. Nothing that is there is overwritten.";
  static override examples = [
    { description: "Write ./shout, and run it", command: "<%= config.bin %> worker new shout" },
  ];
  static override args = { name: Args.string({ required: true, description: "folder, and name of the worker" }) };

  async run(): Promise<{ folder: string; files: readonly string[] }> {
    const { args } = await this.parse(WorkerNew);
    const written = await writeWorker(args.name);
    this.log(`${written.folder} has ${written.files.join(", ")}.`);
    this.log(`Run it:\n  assistant worker run ${args.name}`);
    return { folder: written.folder, files: written.files };
  }
}
