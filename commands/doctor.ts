import { BaseCommand } from "./support/cli/base-command.ts";
import type { Finding } from "./support/doctor/finding.ts";

export default class Doctor extends BaseCommand {
  static override summary = "Look at everything Assistant needs, and say what is missing and what to do";
  static override description =
    "Looks at Node.js, engines, GPUs and drivers, memory, disk, directories and their permissions, configuration, models, ports and the daemon. " +
    "Changes nothing. Exit code 1 when something is broken.";
  static override examples = [
    { description: "For people", command: "<%= config.bin %> doctor" },
    { description: "What is broken, for scripts", command: "<%= config.bin %> doctor --json | jq '.findings[] | select(.level == \"broken\")'" },
  ];

  async run(): Promise<{ readonly broken: boolean; readonly findings: readonly Finding[] }> {
    const { flags } = await this.parse(Doctor);
    const [{ diagnose }, { doctorText }] = await Promise.all([import("./support/doctor/doctor.ts"), import("./support/doctor/text.ts")]);
    const findings = await diagnose(this.context(flags), this.config.version);
    for (const line of doctorText(findings, process.stdout.isTTY === true)) this.log(line);
    const broken = findings.some((finding) => finding.level === "broken");
    if (broken) process.exitCode = 1;
    return { broken, findings };
  }
}
