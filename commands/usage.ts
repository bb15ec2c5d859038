import type { UsageReport } from "../src/api/usage.ts";
import { connect } from "../src/client/daemon-client.ts";
import { usageText } from "../src/ui/usage-text.ts";
import { BaseCommand } from "./support/cli/base-command.ts";

export default class Usage extends BaseCommand {
  static override summary = "Show requests and tokens per API key and model";
  static override description =
    "Counts are kept across restarts of the daemon. Requests of this machine's commands, and all requests where no keys are configured, count as `local`.";
  static override examples = [
    { description: "Show usage", command: "<%= config.bin %> usage" },
    { description: "As JSON, for scripts", command: "<%= config.bin %> usage --json" },
  ];

  async run(): Promise<UsageReport> {
    const { flags } = await this.parse(Usage);
    const { client } = await connect(this.context(flags).paths);
    const report = await client.usage();
    for (const line of usageText(report)) this.log(line);
    return report;
  }
}
