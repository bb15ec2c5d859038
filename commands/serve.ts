import { Flags } from "@oclif/core";
import { BaseCommand } from "./support/cli/base-command.ts";
import { serveInBackground } from "./support/daemon/serve.ts";

export default class Serve extends BaseCommand {
  static override summary = "Start the daemon";
  static override description =
    "Starts the daemon in the background and returns once it answers. Does nothing if one is running already.\n" +
    "With --foreground it stays in this terminal, as service managers expect; SIGTERM or Ctrl-C stops it.";
  static override examples = [
    { description: "Start the daemon", command: "<%= config.bin %> serve" },
    { description: "On another port", command: "<%= config.bin %> serve --http-addr 127.0.0.1:9000" },
    { description: "Under systemd, or to watch its log", command: "<%= config.bin %> serve --foreground" },
  ];
  static override flags = {
    foreground: Flags.boolean({ char: "f", description: "stay in this terminal and also print the log there" }),
    "http-addr": Flags.string({ helpValue: "HOST:PORT", description: "listen here instead of `[server] http_addr`" }),
  };

  async run(): Promise<unknown> {
    const { flags } = await this.parse(Serve);
    const context = this.context(flags);
    const httpAddr = flags["http-addr"] ?? null;
    if (flags.foreground) {
      const { runDaemon } = await import("../src/daemon/run.ts");
      await runDaemon({
        env: {
          ...context.env,
          ASSISTANT_CONFIG: context.paths.configFile,
          ...(httpAddr === null ? {} : { ASSISTANT_HTTP_ADDR: httpAddr }),
        },
        foreground: true,
      });
      return undefined;
    }
    return serveInBackground({ context, httpAddr, say: (line) => this.log(line), progress: process.stderr });
  }
}
