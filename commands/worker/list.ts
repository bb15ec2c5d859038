import type { WorkersReport } from "../../src/api/workers.ts";
import { connect } from "../../src/client/daemon-client.ts";
import { workersText } from "../../src/ui/workers-text.ts";
import { BaseCommand } from "../support/cli/base-command.ts";

export default class WorkerList extends BaseCommand {
  static override summary = "List registered workers";
  static override description =
    "Workers are programs that register themselves with the daemon and serve a model under their name.";
  static override examples = [
    { description: "List them", command: "<%= config.bin %> worker list" },
    { description: "As JSON, for scripts", command: "<%= config.bin %> worker list --json" },
  ];

  async run(): Promise<WorkersReport> {
    const { flags } = await this.parse(WorkerList);
    const { client } = await connect(this.context(flags).paths);
    const report = await client.workers();
    for (const line of workersText(report.workers, Date.now())) this.log(line);
    return report;
  }
}
