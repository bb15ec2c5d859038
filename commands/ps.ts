import { Flags } from "@oclif/core";
import type { DaemonStatus } from "../src/api/status.ts";
import { connect } from "../src/client/daemon-client.ts";
import { withUnexpectedEnd } from "../src/client/unexpected-end.ts";
import { watchStatus } from "../src/client/watch.ts";
import { toAssistantError } from "../src/core/errors.ts";
import { printable, printableTexts } from "../src/ui/printable.ts";
import { psText } from "../src/ui/ps-text.ts";
import { BaseCommand } from "./support/cli/base-command.ts";
import { showsColour } from "./support/cli/colour.ts";
import { tellEngineNews } from "./support/engine/news.ts";
import { watchTail } from "./support/logs/tail.ts";

const EVERY_MS = 1000;

export default class Ps extends BaseCommand {
  static override summary = "Watch running instances: slots, speed, queue, memory, devices";
  static override description =
    "Live on a terminal, with keys to select, sort, stop, restart, pin and read logs (press ? for help). " +
    "Prints a plain table once if the output is not a terminal or with --once.";
  static override examples = [
    { description: "Watch", command: "<%= config.bin %> ps" },
    { description: "Print once", command: "<%= config.bin %> ps --once" },
    { description: "For a script", command: "<%= config.bin %> ps --json | jq '.instances[].state'" },
  ];
  static override flags = {
    once: Flags.boolean({ description: "print a plain table and exit" }),
  };

  async run(): Promise<DaemonStatus | undefined> {
    const { flags } = await this.parse(Ps);
    const context = this.context(flags);
    const { client, status } = await connect(context.paths);
    if (this.jsonEnabled()) return status;
    await tellEngineNews(context, (line) => this.say(line));
    if (flags.once || process.stdout.isTTY !== true || process.stdin.isTTY !== true) {
      for (const line of psText(status)) this.log(line);
      return undefined;
    }
    // The only variable that Ink reads for this.
    if (!showsColour(process.stdout)) process.env["FORCE_COLOR"] = "0";
    // Loaded here and not above: ink's import takes longer than all of the rest.
    const { showPs } = await import("../src/ui/ps/mount.tsx");
    const statusOrReason = (): Promise<DaemonStatus> =>
      client.status().catch(async (error: unknown) => {
        throw await withUnexpectedEnd(toAssistantError(error), context.paths);
      });
    await showPs({
      watch: (listener) => watchStatus(statusOrReason, EVERY_MS, (snapshot) => listener(printableTexts(snapshot))),
      act: (id, action) => client.act(id, action),
      followLog: (file, count, listener) => watchTail(file, count, (lines) => listener(lines.map(printable))),
    });
    return undefined;
  }
}
