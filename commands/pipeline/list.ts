import { daemonClient } from "../../src/client/daemon-client.ts";
import { pipelineClient } from "../../src/client/pipeline-client.ts";
import { alignColumns } from "../../src/ui/table.ts";
import { BaseCommand } from "../support/cli/base-command.ts";
import { type CheckedPipelines, problemsOf } from "../support/pipelines/problems.ts";

export default class PipelineList extends BaseCommand {
  static override summary = "List the pipelines of the daemon";
  static override examples = [{ description: "List them", command: "<%= config.bin %> pipeline list" }];

  async run(): Promise<CheckedPipelines> {
    const { flags } = await this.parse(PipelineList);
    const { paths } = this.context(flags);
    const [answer, { notices }] = await Promise.all([pipelineClient(paths).list(), daemonClient(paths).status()]);
    const problems = problemsOf(notices, paths);
    if (answer.pipelines.length === 0 && problems.length === 0)
      this.log("No pipelines are configured. docs/pipelines.md has examples of their files.");
    if (answer.pipelines.length > 0) {
      const rows = answer.pipelines.map((pipeline) => [
        pipeline.name,
        pipeline.default ? `${pipeline.state}, default` : pipeline.state,
        pipeline.stages.map(({ name }) => name).join(" -> ") || "-",
        pipeline.description,
      ]);
      for (const line of alignColumns([["NAME", "STATE", "STAGES", "DESCRIPTION"], ...rows])) this.log(line);
    }
    for (const problem of problems) this.log(problem);
    return { ...answer, problems };
  }
}
