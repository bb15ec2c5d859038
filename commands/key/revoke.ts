import { Args, Flags } from "@oclif/core";
import type { KeyView } from "../../src/api/keys.ts";
import { BaseCommand } from "../support/cli/base-command.ts";
import { keyAccess } from "../support/keys/access.ts";

export default class KeyRevoke extends BaseCommand {
  static override summary = "Revoke an API key: it opens nothing from now on";
  static override description =
    "Requests that run go on. The key's record stays, so that its name is not given away and requests go on needing a key; --forget deletes it.";
  static override examples = [
    { description: "Revoke a key", command: "<%= config.bin %> key revoke anna" },
    { description: "And delete its record", command: "<%= config.bin %> key revoke anna --forget" },
  ];
  static override args = { name: Args.string({ required: true, description: "name of the key" }) };
  static override flags = {
    forget: Flags.boolean({
      description: "delete its record too; when no key is left, requests over the network need none again",
    }),
  };

  async run(): Promise<KeyView> {
    const { args, flags } = await this.parse(KeyRevoke);
    await using access = await keyAccess(this.context(flags));
    const key = await access.revoke(args.name, { forget: flags.forget });
    this.log(`Revoked the key of ${args.name}.`);
    return key;
  }
}
