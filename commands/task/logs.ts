import { Args } from "@oclif/core";
import type { TaskReportView } from "../../src/api/tasks.ts";
import { taskClient } from "../../src/client/task-client.ts";
import { taskLogText } from "../../src/ui/tasks-text.ts";
import { BaseCommand } from "../support/cli/base-command.ts";

export default class TaskLogs extends BaseCommand {
  static override summary = "Print the log of a task and of its webhook";
  static override examples = [
    { description: "One task", command: "<%= config.bin %> task logs task-0123456789abcdef" },
  ];
  static override args = { id: Args.string({ description: "id of the task", required: true }) };

  async run(): Promise<TaskReportView> {
    const { args, flags } = await this.parse(TaskLogs);
    const report = await taskClient(this.context(flags).paths).report(args.id);
    for (const line of taskLogText(report)) this.log(line);
    return report;
  }
}
