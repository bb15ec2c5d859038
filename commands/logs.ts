import { Args, Flags } from "@oclif/core";
import { BaseCommand } from "./support/cli/base-command.ts";
import { findLogFile, printLog } from "./support/logs/print.ts";

export default class Logs extends BaseCommand {
  static override enableJsonFlag = false;
  static override summary = "Read the log of the daemon or of one instance";
  static override description = "Without a name: the daemon's log. With one: what the engine of that instance, or of that model's instances, printed.";
  static override examples = [
    { description: "The daemon's last 50 lines", command: "<%= config.bin %> logs" },
    { description: "As it is written", command: "<%= config.bin %> logs -f" },
    { description: "What an engine said", command: "<%= config.bin %> logs smollm2@cpu -n 200" },
  ];
  static override args = { instance: Args.string({ description: "instance (see `assistant ps`) or model" }) };
  static override flags = {
    follow: Flags.boolean({ char: "f", description: "go on with new lines as they come; follows rotation" }),
    lines: Flags.integer({ char: "n", description: "how many lines", default: 50, min: 0 }),
    raw: Flags.boolean({ description: "the daemon's JSON lines as they are" }),
  };

  async run(): Promise<void> {
    const { args, flags } = await this.parse(Logs);
    const stop = new AbortController();
    process.once("SIGINT", () => stop.abort());
    await printLog({
      file: await findLogFile(this.context(flags).paths, args.instance ?? null),
      lines: flags.lines,
      follow: flags.follow,
      format: flags.raw || args.instance !== undefined ? "raw" : process.stdout.isTTY === true ? "colour" : "plain",
      print: (line) => process.stdout.write(`${line}\n`),
      signal: stop.signal,
    });
  }
}
