import { BaseCommand } from "./support/cli/base-command.ts";
import { showsColour } from "./support/cli/colour.ts";
import type { Finding } from "./support/doctor/finding.ts";

export default class Doctor extends BaseCommand {
  static override summary = "Check everything Assistant needs and show how to fix what is missing";
  static override description =
    "Checks Node.js, engines, GPUs and drivers, memory, disk, directories and their permissions, configuration, " +
    "models, ports and the daemon. Changes nothing. Exits with 1 when something is broken.";
  static override examples = [
    { description: "Show the findings", command: "<%= config.bin %> doctor" },
    {
      description: "List what is broken, for scripts",
      command: "<%= config.bin %> doctor --json | jq '.findings[] | select(.level == \"broken\")'",
    },
  ];

  async run(): Promise<{ readonly broken: boolean; readonly findings: readonly Finding[] }> {
    const { flags } = await this.parse(Doctor);
    const [{ diagnose }, { doctorText }] = await Promise.all([
      import("./support/doctor/doctor.ts"),
      import("./support/doctor/text.ts"),
    ]);
    const findings = await diagnose(this.context(flags), this.config.version);
    for (const line of doctorText(findings, showsColour(process.stdout))) this.logPainted(line);
    const broken = findings.some((finding) => finding.level === "broken");
    if (broken) process.exitCode = 1;
    return { broken, findings };
  }
}
