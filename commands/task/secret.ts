import { taskClient } from "../../src/client/task-client.ts";
import { BaseCommand } from "../support/cli/base-command.ts";

export default class TaskSecret extends BaseCommand {
  static override summary = "Print the secret that signs webhooks";
  static override description =
    "Receivers use it to verify the signature of a webhook. It is generated once; " +
    "`[tasks] webhook_secret_env` overrides it.";
  static override examples = [{ description: "For a receiver", command: "<%= config.bin %> task secret" }];

  async run(): Promise<{ readonly secret: string }> {
    const { flags } = await this.parse(TaskSecret);
    const secret = await taskClient(this.context(flags).paths).webhookSecret();
    this.log(secret);
    return { secret };
  }
}
