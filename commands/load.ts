import { Args } from "@oclif/core";
import { BaseCommand } from "./support/cli/base-command.ts";
import { actOnModel, doneText, type ModelActionResult } from "./support/daemon/model-actions.ts";

export default class Load extends BaseCommand {
  static override summary = "Load a model into memory";
  static override description =
    "Returns once the model is loaded. Requests also load models; this saves the first one the wait.";
  static override examples = [
    { description: "Load a model before it is needed", command: "<%= config.bin %> load smollm2" },
  ];
  static override args = { model: Args.string({ required: true, description: "name or alias of a configured model" }) };

  async run(): Promise<ModelActionResult> {
    const { args, flags } = await this.parse(Load);
    const result = await actOnModel(args.model, "load", this.context(flags), process.stderr);
    this.log(doneText(result));
    return result;
  }
}
