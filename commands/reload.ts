import type { ReloadReport } from "../src/api/reload.ts";
import { connect } from "../src/client/daemon-client.ts";
import { BaseCommand } from "./support/cli/base-command.ts";
import { reloadMessage } from "./support/daemon/reload-message.ts";

export default class Reload extends BaseCommand {
  static override summary = "Reload the daemon's configuration";
  static override description =
    "Only models whose settings changed are drained and restarted; everything else keeps running. " +
    "The daemon also reloads by itself when a file changes, and on SIGHUP. " +
    "Models whose file has an error keep running with their last valid settings; " +
    "the command then prints the error and exits with 78.";
  static override examples = [{ description: "After editing a file", command: "<%= config.bin %> reload" }];

  async run(): Promise<ReloadReport> {
    const { flags } = await this.parse(Reload);
    const { client } = await connect(this.context(flags).paths);
    const report = await client.reload();
    for (const line of reloadMessage(report)) this.log(line);
    if (report.notices?.some(({ severity }) => severity === "error") === true) this.endWith("config_invalid");
    return report;
  }
}
