import { Args } from "@oclif/core";
import { lockHolder } from "../src/core/daemon-lock.ts";
import { BaseCommand } from "./support/cli/base-command.ts";
import { actOnModel, doneText, type ModelActionResult } from "./support/daemon/model-actions.ts";
import { serveInBackground } from "./support/daemon/serve.ts";
import { stopDaemon } from "./support/daemon/stop.ts";

export default class Restart extends BaseCommand {
  static override summary = "Restart the daemon, or one model";
  static override description =
    "Running requests may finish. Without MODEL, the daemon is restarted, which changed addresses require; " +
    "it is also started if it was not running. With MODEL, only its instances are restarted.";
  static override examples = [
    { description: "Restart the daemon", command: "<%= config.bin %> restart" },
    { description: "Restart one model", command: "<%= config.bin %> restart smollm2" },
  ];
  static override args = { model: Args.string({ description: "name or alias of a configured model" }) };

  async run(): Promise<ModelActionResult | { readonly pid: number; readonly url: string | null }> {
    const { args, flags } = await this.parse(Restart);
    const context = this.context(flags);
    if (args.model !== undefined) {
      const result = await actOnModel(args.model, "restart", context, process.stderr);
      this.log(doneText(result));
      return result;
    }
    await stopDaemon({ paths: context.paths, now: false, progress: process.stderr, lockHolder });
    const { pid, url } = await serveInBackground({
      context,
      httpAddr: null,
      say: (line) => this.log(line),
      progress: process.stderr,
    });
    return { pid, url };
  }
}
