import { Args } from "@oclif/core";
import type { TaskView } from "../../src/api/tasks.ts";
import { taskClient } from "../../src/client/task-client.ts";
import { BaseCommand } from "../support/cli/base-command.ts";

export default class TaskCancel extends BaseCommand {
  static override summary = "Cancel a waiting or running task";
  static override examples = [
    { description: "One task", command: "<%= config.bin %> task cancel task-0123456789abcdef" },
  ];
  static override args = { id: Args.string({ description: "id of the task", required: true }) };

  async run(): Promise<TaskView> {
    const { args, flags } = await this.parse(TaskCancel);
    const task = await taskClient(this.context(flags).paths).cancel(args.id);
    this.log(`${task.task_id} is cancelled.`);
    return task;
  }
}
