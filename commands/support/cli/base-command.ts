import { Command, Flags, ux } from "@oclif/core";
import { withUnexpectedEnd } from "../../../src/client/unexpected-end.ts";
import { errorCatalogue } from "../../../src/core/errors.ts";
import { printable, printableJson } from "../../../src/ui/printable.ts";
import { showsColour } from "./colour.ts";
import { type CommandContext, loadContext } from "./context.ts";
import { exitCodeOf, reportJson, reportText, toReportable } from "./report.ts";

/**
 * What every command shares: `--config`, `--json`, and one way for an error to end it: message and remedy on stderr (or
 * `{error}` on stdout with `--json`) and the exit code of the catalogue. Commands throw; nothing else prints errors.
 */
export abstract class BaseCommand extends Command {
  static override enableJsonFlag = true;

  static override baseFlags = {
    config: Flags.string({
      helpGroup: "GLOBAL",
      helpValue: "FILE",
      description: "configuration file (default: $ASSISTANT_CONFIG, then the one in the configuration directory)",
    }),
  };

  /** Of the installation, once the command has asked for them. */
  #paths: CommandContext["paths"] | null = null;

  protected override async init(): Promise<void> {
    await super.init();
    // oclif would fill an argument that is missing from standard input, which is the prompt of `run` and a script's own
    // elsewhere.
    for (const argument of Object.values(this.ctor.args)) argument.ignoreStdin = true;
  }

  /** Paths and settings of the installation that `--config` and the environment select. */
  protected context(flags: { readonly config?: string | undefined }): CommandContext {
    const context = loadContext({ configFile: flags.config ?? null });
    this.#paths = context.paths;
    return context;
  }

  /** Prints text, of whomever it is, without letting it control the terminal. */
  override log(message = "", ...args: unknown[]): void {
    super.log(printable(message), ...args);
  }

  protected override logJson(json: unknown): void {
    const { theme } = this.config;
    ux.stdout(printableJson(ux.colorizeJson(json, { pretty: true, ...(theme?.json ? { theme: theme.json } : {}) })));
  }

  /** Prints a line with colours, whose maker has made the rest printable. */
  protected logPainted(line: string): void {
    super.log(line);
  }

  /** Progress and remarks: on stderr, so that stdout only contains the result. Silent with `--json`. */
  protected say(line: string): void {
    if (!this.jsonEnabled()) process.stderr.write(`${printable(line)}\n`);
  }

  /** Ends with a code that is an answer and not an error, such as 3 for "not running". */
  protected endWith(code: keyof typeof errorCatalogue): void {
    process.exitCode = errorCatalogue[code].exit;
  }

  protected override async catch(thrown: unknown): Promise<void> {
    const exit = exitCodeOf(thrown);
    if (exit !== null) {
      process.exitCode = exit;
      return;
    }
    const reportable = toReportable(thrown, [
      ...Object.keys({ ...this.ctor.flags, ...this.ctor.baseFlags }),
      ...(this.ctor.enableJsonFlag ? ["json"] : []),
    ]);
    const error = this.#paths === null ? reportable : await withUnexpectedEnd(reportable, this.#paths);
    process.exitCode = error.exitCode;
    if (this.jsonEnabled()) this.logJson(reportJson(error));
    else
      process.stderr.write(
        reportText(error, { colour: showsColour(process.stderr), debug: loadContext({ configFile: null }).debug }),
      );
  }
}
