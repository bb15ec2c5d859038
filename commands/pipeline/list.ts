import type { PipelineView } from "../../src/api/pipelines.ts";
import { pipelineClient } from "../../src/client/pipeline-client.ts";
import { alignColumns } from "../../src/ui/table.ts";
import { BaseCommand } from "../support/cli/base-command.ts";

export default class PipelineList extends BaseCommand {
  static override summary = "List the pipelines of the daemon";
  static override examples = [{ description: "List them", command: "<%= config.bin %> pipeline list" }];

  async run(): Promise<{ readonly pipelines: readonly PipelineView[] }> {
    const { flags } = await this.parse(PipelineList);
    const answer = await pipelineClient(this.context(flags).paths).list();
    if (answer.pipelines.length === 0)
      this.log("No pipelines are configured. docs/pipelines.md has examples of their files.");
    else {
      const rows = answer.pipelines.map((pipeline) => [
        pipeline.name,
        pipeline.default ? `${pipeline.state}, default` : pipeline.state,
        pipeline.stages.map(({ name }) => name).join(" -> ") || "-",
        pipeline.description,
      ]);
      for (const line of alignColumns([["NAME", "STATE", "STAGES", "DESCRIPTION"], ...rows])) this.log(line);
    }
    return answer;
  }
}
