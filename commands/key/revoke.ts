import { Args, Flags } from "@oclif/core";
import type { KeyView } from "../../src/api/keys.ts";
import { BaseCommand } from "../support/cli/base-command.ts";
import { agreed } from "../support/cli/confirm.ts";
import { keyAccess } from "../support/keys/access.ts";

export default class KeyRevoke extends BaseCommand {
  static override summary = "Revoke an API key";
  static override description =
    "Requests with the key are refused from now on; answers that have begun are completed. " +
    "The key's record is kept, so its name stays reserved and requests still need a key; --forget deletes it, " +
    "along with the key's responses, files, tasks and conversations.";
  static override examples = [
    { description: "Revoke a key", command: "<%= config.bin %> key revoke anna" },
    { description: "And delete it with all that it has stored", command: "<%= config.bin %> key revoke anna --forget" },
  ];
  static override args = { name: Args.string({ required: true, description: "name of the key" }) };
  static override flags = {
    forget: Flags.boolean({
      description:
        "also delete its record, responses, files, tasks and conversations; once no key is left, requests need none",
    }),
    yes: Flags.boolean({ char: "y", description: "do not ask for confirmation of --forget" }),
  };

  async run(): Promise<KeyView | null> {
    const { args, flags } = await this.parse(KeyRevoke);
    const question = `Delete the key of ${args.name} and the responses, files, tasks and conversations that it has stored?`;
    if (flags.forget && !flags.yes && !(await agreed(question, "key revoke --forget", this.jsonEnabled()))) {
      this.log("Nothing was changed.");
      return null;
    }
    await using access = await keyAccess(this.context(flags));
    const key = await access.revoke(args.name, { forget: flags.forget });
    this.log(flags.forget ? `Revoked and deleted the key of ${args.name}.` : `Revoked the key of ${args.name}.`);
    return key;
  }
}
