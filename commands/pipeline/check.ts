import { Args } from "@oclif/core";
import { BaseCommand } from "../support/cli/base-command.ts";
import type { CheckedPipelines } from "../support/pipelines/problems.ts";

export default class PipelineCheck extends BaseCommand {
  static override summary = "Check whether the stages of pipelines fit together";
  static override description =
    "Reads the current files, loads their modules, and compares the output type of each stage with the input type " +
    "of the next. Does not contact any service. Exits with a non-zero code if there is an error.";
  static override examples = [
    { description: "Check all", command: "<%= config.bin %> pipeline check" },
    { description: "Check one", command: "<%= config.bin %> pipeline check assistant-voice --json" },
  ];
  static override args = { name: Args.string({ description: "name of the pipeline (default: all)" }) };

  async run(): Promise<CheckedPipelines> {
    const { args, flags } = await this.parse(PipelineCheck);
    const { checkPipelines } = await import("../support/pipelines/check.ts");
    const checked = await checkPipelines(this.context(flags), args.name ?? null);
    const { pipelines, problems } = checked;
    if (pipelines.length === 0 && problems.length === 0) this.log("No pipelines are configured.");
    for (const problem of problems) this.log(problem);
    for (const { name, file, report } of pipelines) this.log(`${name} (${file})\n${report}\n`);
    if (problems.length > 0 || pipelines.some(({ state }) => state === "invalid")) this.endWith("pipeline_invalid");
    return checked;
  }
}
