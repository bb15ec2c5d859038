import type { DaemonStatus } from "../src/api/status.ts";
import { connectIfRunning } from "../src/client/daemon-client.ts";
import { describeEnd, type UnexpectedEnd, unexpectedEnd } from "../src/client/unexpected-end.ts";
import { statusText } from "../src/ui/status-text.ts";
import { BaseCommand } from "./support/cli/base-command.ts";
import { showsColour } from "./support/cli/colour.ts";
import { tellEngineNews } from "./support/engine/news.ts";

export default class Status extends BaseCommand {
  static override summary = "Show daemon status and models";
  static override description = "Exits with 0 when the daemon is running and with 3 when it is not, like systemctl.";
  static override examples = [
    { description: "Show the status", command: "<%= config.bin %> status" },
    { description: "As JSON, for scripts", command: "<%= config.bin %> status --json" },
  ];

  async run(): Promise<DaemonStatus | StoppedStatus> {
    const { flags } = await this.parse(Status);
    const context = this.context(flags);
    const { paths } = context;
    const running = await connectIfRunning(paths);
    if (!this.jsonEnabled()) await tellEngineNews(context, (line) => this.say(line));
    if (running !== null) {
      for (const line of statusText(running.status, showsColour(process.stdout))) this.logPainted(line);
      return running.status;
    }
    this.endWith("daemon_not_running");
    const { configFile, dataDir } = paths;
    const end = await unexpectedEnd(paths);
    const { what, hint } = end === null ? { what: null, hint: "" } : describeEnd(end);
    const lines = [
      "Assistant: the daemon is not running",
      ...(what === null ? [] : [`     Ended: ${what}`]),
      `    Config: ${configFile}`,
      `      Data: ${dataDir}`,
      `Start it with \`assistant serve\`. ${hint}`.trim(),
    ];
    for (const line of lines) this.log(line);
    return { state: "stopped", configFile, dataDir, unexpectedEnd: end };
  }
}

interface StoppedStatus {
  readonly state: "stopped";
  readonly configFile: string;
  readonly dataDir: string;
  /** Null: the last daemon was stopped, or there was none. */
  readonly unexpectedEnd: UnexpectedEnd | null;
}
