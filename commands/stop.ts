import { Args, Flags } from "@oclif/core";
import { lockHolder } from "../src/core/daemon-lock.ts";
import { AssistantError } from "../src/core/errors.ts";
import { BaseCommand } from "./support/cli/base-command.ts";
import { actOnModel, doneText, type ModelActionResult } from "./support/daemon/model-actions.ts";
import { type StopResult, stopDaemon } from "./support/daemon/stop.ts";

export default class Stop extends BaseCommand {
  static override summary = "Stop the daemon and all its instances, or one model";
  static override description =
    "Lets running requests finish and refuses new ones. Returns once the daemon's process has exited. " +
    "Succeeds if no daemon is running. With MODEL, only its instances are stopped and their memory is freed; " +
    "the next request loads it again.";
  static override examples = [
    { description: "Stop after running requests", command: "<%= config.bin %> stop" },
    { description: "Stop at once", command: "<%= config.bin %> stop --now" },
    { description: "Unload one model", command: "<%= config.bin %> stop smollm2" },
  ];
  static override args = {
    model: Args.string({ description: "name or alias of a configured model (default: the whole daemon)" }),
  };
  static override flags = {
    now: Flags.boolean({ description: "cancel running requests instead of waiting for them" }),
  };

  async run(): Promise<StopResult | ModelActionResult> {
    const { args, flags } = await this.parse(Stop);
    if (args.model !== undefined) {
      if (flags.now)
        throw new AssistantError("usage", "`--now` is for the whole daemon; a model's running requests may finish.", {
          param: "now",
        });
      const unloaded = await actOnModel(args.model, "unload", this.context(flags), process.stderr);
      this.log(doneText(unloaded));
      return unloaded;
    }
    const result = await stopDaemon({
      paths: this.context(flags).paths,
      now: flags.now,
      progress: process.stderr,
      lockHolder,
    });
    if (!result.wasRunning) this.log("The daemon was not running.");
    else if (result.killed) this.log(`The daemon (pid ${result.pid}) did not exit and was killed.`);
    else this.log(`Stopped the daemon (pid ${result.pid}) in ${result.seconds.toFixed(1)} s.`);
    return result;
  }
}
