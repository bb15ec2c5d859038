import { connectIfAnswering } from "../src/client/daemon-client.ts";
import { BaseCommand } from "./support/cli/base-command.ts";

interface Versions {
  readonly version: string;
  readonly node: string;
  /** Of the running daemon; null where none answers. */
  readonly daemon: string | null;
}

export default class Version extends BaseCommand {
  static override summary = "Show the version";
  static override description =
    "Also shows the version of the running daemon if it differs, as after an update until `assistant restart`.";
  static override examples = [
    { description: "Show the version", command: "<%= config.bin %> version" },
    {
      description: "Including the daemon's and Node.js's, for scripts",
      command: "<%= config.bin %> version --json",
    },
  ];

  async run(): Promise<Versions> {
    const { flags } = await this.parse(Version);
    const running = await connectIfAnswering(this.context(flags).paths);
    const versions = { version: this.config.version, node: process.version, daemon: running?.status.version ?? null };
    this.log(`assistant ${versions.version}`);
    if (versions.daemon !== null && versions.daemon !== versions.version)
      this.log(`The daemon that runs is ${versions.daemon}: \`assistant restart\` starts it in this version.`);
    return versions;
  }
}
