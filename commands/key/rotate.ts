import { Args, Flags } from "@oclif/core";
import type { NewKey } from "../../src/api/keys.ts";
import { BaseCommand } from "../support/cli/base-command.ts";
import { keyAccess } from "../support/keys/access.ts";
import { spanSeconds } from "../support/keys/span.ts";

export default class KeyRotate extends BaseCommand {
  static override summary = "Give an API key a new secret and print it, once";
  static override description =
    "Settings, limits and usage are kept. The old secret stops working at once, or after the grace period.";
  static override examples = [
    { description: "Replace a secret that was leaked", command: "<%= config.bin %> key rotate anna" },
    { description: "Give clients a day", command: "<%= config.bin %> key rotate anna --grace 24h" },
  ];
  static override args = { name: Args.string({ required: true, description: "name of the key" }) };
  static override flags = {
    grace: Flags.string({ helpValue: "SPAN", description: "how long the old secret still works, such as 24h" }),
  };

  async run(): Promise<NewKey> {
    const { args, flags } = await this.parse(KeyRotate);
    const graceS = flags.grace === undefined ? 0 : spanSeconds(flags.grace, "grace");
    await using access = await keyAccess(this.context(flags));
    const made = await access.rotate(args.name, graceS);
    this.say(`The new key of ${args.name}, which cannot be shown again:`);
    this.log(made.secret);
    return made;
  }
}
