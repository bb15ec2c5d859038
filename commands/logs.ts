import { Args, Flags } from "@oclif/core";
import { AssistantError } from "../src/core/errors.ts";
import { BaseCommand } from "./support/cli/base-command.ts";
import { showsColour } from "./support/cli/colour.ts";
import { findLogFile, lastEntries, printLog } from "./support/logs/print.ts";

export default class Logs extends BaseCommand {
  static override summary = "Show the log of the daemon or of an instance";
  static override description =
    "Without a name, shows the daemon's log. With a name, shows the output of that instance's engine, " +
    "or of the model's first instance.";
  static override examples = [
    { description: "The daemon's last 50 lines", command: "<%= config.bin %> logs" },
    { description: "Follow it", command: "<%= config.bin %> logs -f" },
    {
      description: "Warnings and errors, for scripts",
      command: "<%= config.bin %> logs -n 1000 --json | jq '.lines[] | select(.level >= 40)'",
    },
    { description: "Output of an engine", command: "<%= config.bin %> logs smollm2@cpu -n 200" },
  ];
  static override args = { instance: Args.string({ description: "instance (see `assistant ps`) or model" }) };
  static override flags = {
    follow: Flags.boolean({ char: "f", description: "print new lines as they are written, across rotation" }),
    lines: Flags.integer({ char: "n", description: "number of lines", default: 50, min: 0 }),
    raw: Flags.boolean({ description: "print the daemon's log as JSON lines" }),
  };

  async run(): Promise<{ readonly file: string; readonly lines: readonly unknown[] } | undefined> {
    const { args, flags } = await this.parse(Logs);
    const file = await findLogFile(this.context(flags).paths, args.instance ?? null);
    if (this.jsonEnabled()) {
      if (flags.follow)
        throw new AssistantError("usage", "`--json` is one document, which `--follow` never ends.", {
          remedy: "Follow the daemon's log as JSON lines with `--raw`.",
        });
      return { file, lines: await lastEntries(file, flags.lines) };
    }
    const stop = new AbortController();
    process.once("SIGINT", () => stop.abort());
    await printLog({
      file,
      lines: flags.lines,
      follow: flags.follow,
      format: flags.raw || args.instance !== undefined ? "raw" : showsColour(process.stdout) ? "colour" : "plain",
      print: (line) => process.stdout.write(`${line}\n`),
      signal: stop.signal,
    });
    return undefined;
  }
}
