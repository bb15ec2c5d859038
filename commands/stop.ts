import { Flags } from "@oclif/core";
import { lockHolder } from "../src/core/daemon-lock.ts";
import { BaseCommand } from "./support/cli/base-command.ts";
import { type StopResult, stopDaemon } from "./support/daemon/stop.ts";

export default class Stop extends BaseCommand {
  static override summary = "Stop the daemon and all its instances";
  static override description =
    "Lets running requests finish and refuses new ones. Returns once the daemon's process has exited. It is no error if no daemon is running.";
  static override examples = [
    { description: "Stop after running requests", command: "<%= config.bin %> stop" },
    { description: "Stop at once", command: "<%= config.bin %> stop --now" },
  ];
  static override flags = {
    now: Flags.boolean({ description: "cancel running requests instead of waiting for them" }),
  };

  async run(): Promise<StopResult> {
    const { flags } = await this.parse(Stop);
    const result = await stopDaemon({ paths: this.context(flags).paths, now: flags.now, progress: process.stderr, lockHolder });
    if (!result.wasRunning) this.log("The daemon was not running.");
    else if (result.killed) this.log(`The daemon (pid ${result.pid}) did not exit and was killed.`);
    else this.log(`Stopped the daemon (pid ${result.pid}) in ${result.seconds.toFixed(1)} s.`);
    return result;
  }
}
