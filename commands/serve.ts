import { Flags } from "@oclif/core";
import { BaseCommand } from "./support/cli/base-command.ts";
import { serveInBackground } from "./support/daemon/serve.ts";

export default class Serve extends BaseCommand {
  static override summary = "Start the daemon";
  static override description =
    "Starts the daemon in the background and returns once it answers. If one runs already, says so and changes nothing.\n" +
    "With --foreground it stays in this terminal, as a service manager wants it; SIGTERM or Ctrl-C ends it.";
  static override examples = [
    { description: "Start it, and see how to reach it", command: "<%= config.bin %> serve" },
    { description: "On another port", command: "<%= config.bin %> serve --http-addr 127.0.0.1:9000" },
    { description: "Under systemd, or to watch it", command: "<%= config.bin %> serve --foreground" },
  ];
  static override flags = {
    foreground: Flags.boolean({ char: "f", description: "stay in this terminal; the log goes to it as well" }),
    "http-addr": Flags.string({ helpValue: "HOST:PORT", description: "listen here instead of `[server] http_addr`" }),
  };

  async run(): Promise<unknown> {
    const { flags } = await this.parse(Serve);
    const context = this.context(flags);
    const httpAddr = flags["http-addr"] ?? null;
    if (flags.foreground) {
      const { runDaemon } = await import("../src/daemon/main.ts");
      await runDaemon({
        env: { ...context.env, ASSISTANT_CONFIG: context.paths.configFile, ...(httpAddr === null ? {} : { ASSISTANT_HTTP_ADDR: httpAddr }) },
        foreground: true,
      });
      return undefined;
    }
    return serveInBackground({ context, httpAddr, say: (line) => this.log(line), progress: process.stderr });
  }
}
