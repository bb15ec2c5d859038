import { Flags } from "@oclif/core";
import type { UsageByDay, UsageReport } from "../src/api/usage.ts";
import { connect } from "../src/client/daemon-client.ts";
import { usageDaysText, usageText } from "../src/ui/usage-text.ts";
import { BaseCommand } from "./support/cli/base-command.ts";
import { timeOf } from "./support/keys/span.ts";

const DEFAULT_SINCE = "30d";

export default class Usage extends BaseCommand {
  static override summary = "Show requests and tokens per API key and model";
  static override description =
    "Counts are kept across restarts of the daemon. Requests of commands on this machine, " +
    "and all requests while no keys are configured, count as `local`.";
  static override examples = [
    { description: "Show usage", command: "<%= config.bin %> usage" },
    {
      description: "What one key used in the last week",
      command: "<%= config.bin %> usage --by-day --since 7d --key anna",
    },
    { description: "As JSON, for scripts", command: "<%= config.bin %> usage --json" },
  ];

  static override flags = {
    "by-day": Flags.boolean({ description: "one line per day (UTC), newest first" }),
    since: Flags.string({
      helpValue: "WHEN",
      description: "first day: a date (2027-01-31) or age (default: 30d)",
      dependsOn: ["by-day"],
    }),
    key: Flags.string({ description: "only this key", dependsOn: ["by-day"] }),
  };

  async run(): Promise<UsageReport | UsageByDay> {
    const { flags } = await this.parse(Usage);
    const { client } = await connect(this.context(flags).paths);
    if (flags["by-day"]) {
      const from = new Date(timeOf(flags.since ?? DEFAULT_SINCE, "since", Date.now(), "back")).toISOString();
      const key = flags.key === undefined ? {} : { key: flags.key };
      const byDay = await client.usageByDay({ from: from.slice(0, 10), ...key });
      for (const line of usageDaysText(byDay.days)) this.log(line);
      return byDay;
    }
    const report = await client.usage();
    for (const line of usageText(report)) this.log(line);
    return report;
  }
}
