import { Args, Flags } from "@oclif/core";
import { BaseCommand } from "./support/cli/base-command.ts";
import type { CheckedPreset } from "./support/models/check.ts";

export default class Check extends BaseCommand {
  static override summary = "Check whether a preset's model fits on a GPU of this machine";
  static override description =
    "Compares the memory that the model needs with the free memory of the GPU with the most room, " +
    "recommends a quantization, and shows whether the weights are on this machine and on the hub.";
  static override examples = [
    { description: "Check a model before pulling it", command: "<%= config.bin %> check qwen2.5-7b-instruct" },
    {
      description: "Check another quantization",
      command: "<%= config.bin %> check qwen2.5-7b-instruct --quantization q8_0",
    },
  ];
  static override args = { preset: Args.string({ required: true, description: "name (see `assistant search`)" }) };
  static override flags = {
    quantization: Flags.string({ helpValue: "NAME", description: "quantization (default: that of the preset's file)" }),
  };

  async run(): Promise<CheckedPreset> {
    const { args, flags } = await this.parse(Check);
    const [{ checkPreset, checkText }] = await Promise.all([import("./support/models/check.ts")]);
    const checked = await checkPreset(args.preset, flags.quantization ?? null, this.context(flags));
    this.log(checkText(checked));
    return checked;
  }
}
