import { Flags } from "@oclif/core";
import { type TaskPage, taskStates } from "../../src/api/tasks.ts";
import { taskClient } from "../../src/client/task-client.ts";
import { tasksText } from "../../src/ui/tasks-text.ts";
import { BaseCommand } from "../support/cli/base-command.ts";

const DEFAULT_LIMIT = 20;

export default class TaskList extends BaseCommand {
  static override summary = "List tasks, newest first";
  static override examples = [
    { description: "The newest", command: "<%= config.bin %> task list" },
    { description: "Those that failed", command: "<%= config.bin %> task list --status failed --json" },
  ];
  static override flags = {
    status: Flags.option({ options: taskStates, description: "only tasks with this status" })(),
    limit: Flags.integer({ min: 1, max: 1000, default: DEFAULT_LIMIT, description: "how many" }),
    after: Flags.string({
      helpValue: "CURSOR",
      description: "value of `next` on the previous page, as printed with --json",
    }),
  };

  async run(): Promise<TaskPage> {
    const { flags } = await this.parse(TaskList);
    const page = await taskClient(this.context(flags).paths).list({
      limit: String(flags.limit),
      ...(flags.status === undefined ? {} : { status: flags.status }),
      ...(flags.after === undefined ? {} : { after: flags.after }),
    });
    if (page.tasks.length === 0) this.log("There are no tasks.");
    else for (const line of tasksText(page.tasks, Date.now())) this.log(line);
    if (page.next !== null) this.say(`There are more: --limit shows up to 1000, --after ${page.next} the next ones.`);
    return page;
  }
}
