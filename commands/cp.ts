import { Args } from "@oclif/core";
import { BaseCommand } from "./support/cli/base-command.ts";

interface Copied {
  readonly name: string;
  readonly file: string;
  readonly bytes: number;
}

export default class Cp extends BaseCommand {
  static override summary = "Give a pulled model a second name";
  static override description =
    "The files are linked, so the copy takes no additional space; each name can be removed without the other. " +
    "For another name with the same settings, use `model_alias` in the model file.";
  static override examples = [
    { description: "Keep a model under another name", command: "<%= config.bin %> cp smollm2 my-model" },
  ];
  static override args = {
    source: Args.string({ required: true, description: "name of a pulled model (see `assistant list`)" }),
    name: Args.string({ required: true, description: "second name" }),
  };

  async run(): Promise<Copied> {
    const { args, flags } = await this.parse(Cp);
    const [{ copyModel }, { modelStore }] = await Promise.all([
      import("../src/models/copy.ts"),
      import("./support/stores.ts"),
    ]);
    const { name, file, bytes } = await copyModel(modelStore(this.context(flags).paths), args.source, args.name);
    this.log(`Copied ${args.source} to ${name}: ${file}`);
    return { name, file, bytes };
  }
}
