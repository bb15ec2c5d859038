import { Args } from "@oclif/core";
import type { TaskView } from "../../src/api/tasks.ts";
import { taskClient } from "../../src/client/task-client.ts";
import { AssistantError } from "../../src/core/errors.ts";
import { printable } from "../../src/ui/printable.ts";
import { BaseCommand } from "../support/cli/base-command.ts";

export default class TaskWait extends BaseCommand {
  static override summary = "Wait for a task, printing its answer as it arrives";
  static override description =
    "Prints the answer from its start. Exits with 1 if the task fails or is cancelled. " +
    "Ctrl-C stops waiting, but does not cancel the task.";
  static override examples = [
    { description: "One task", command: "<%= config.bin %> task wait task-0123456789abcdef" },
  ];
  static override args = { id: Args.string({ description: "id of the task", required: true }) };

  async run(): Promise<TaskView> {
    const { args, flags } = await this.parse(TaskWait);
    for await (const event of taskClient(this.context(flags).paths).follow(args.id)) {
      switch (event.type) {
        case "status":
          if (event.status === "pending") this.say("It waits.");
          break;
        case "restart":
          this.say("\nAnother attempt begins.");
          break;
        case "text":
          if (!this.jsonEnabled())
            process.stdout.write(process.stdout.isTTY === true ? printable(event.text) : event.text);
          break;
        case "end": {
          const { task } = event;
          if (task.status !== "completed") process.exitCode = 1;
          if (task.result !== null && !task.result.text.endsWith("\n")) this.log();
          if (task.status !== "completed")
            this.say(`The task is ${task.status}${task.error === null ? "." : `: ${task.error}`}`);
          return task;
        }
      }
    }
    throw new AssistantError("internal", "The stream of the task ended without an end.");
  }
}
