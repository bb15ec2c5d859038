import { Flags } from "@oclif/core";
import type { AuditReport } from "../src/api/audit.ts";
import { auditText } from "../src/ui/keys-text.ts";
import { BaseCommand } from "./support/cli/base-command.ts";
import { keyAccess } from "./support/keys/access.ts";
import { timeOf } from "./support/keys/span.ts";

export default class Audit extends BaseCommand {
  static override summary = "Show the audit trail: who changed models, instances and keys";
  static override description =
    "Newest first. Every authorized request that could change something is recorded, with its status, for 400 days, " +
    "without secrets and prompts.";
  static override examples = [
    { description: "The last changes", command: "<%= config.bin %> audit" },
    { description: "Those of the last week, as JSON", command: "<%= config.bin %> audit --since 7d --json" },
  ];
  static override flags = {
    since: Flags.string({ helpValue: "WHEN", description: "date (2027-01-31) or age (7d, 12h)" }),
    limit: Flags.integer({ min: 1, max: 1000, default: 100, description: "maximum number of entries" }),
  };

  async run(): Promise<AuditReport> {
    const { flags } = await this.parse(Audit);
    const since = flags.since === undefined ? {} : { since: timeOf(flags.since, "since", Date.now(), "back") };
    await using access = await keyAccess(this.context(flags));
    const report = await access.audit({ limit: flags.limit, ...since });
    if (report.entries.length === 0) this.log("Nothing was changed.");
    else for (const line of auditText(report.entries)) this.log(line);
    return report;
  }
}
