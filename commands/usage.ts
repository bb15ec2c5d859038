import type { UsageReport } from "../src/api/usage.ts";
import { connect } from "../src/client/daemon-client.ts";
import { usageText } from "../src/ui/usage-text.ts";
import { BaseCommand } from "./support/cli/base-command.ts";

export default class Usage extends BaseCommand {
  static override summary = "Show what each API key has used of each model";
  static override description =
    "Requests and tokens by the key's name, kept over restarts of the daemon. Requests of this machine's own commands, and all where no keys are configured, count as `local`.";
  static override examples = [
    { description: "For people", command: "<%= config.bin %> usage" },
    { description: "For scripts", command: "<%= config.bin %> usage --json" },
  ];

  async run(): Promise<UsageReport> {
    const { flags } = await this.parse(Usage);
    const { client } = await connect(this.context(flags).paths);
    const report = await client.usage();
    for (const line of usageText(report)) this.log(line);
    return report;
  }
}
