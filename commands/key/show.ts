import { Args } from "@oclif/core";
import type { KeyView } from "../../src/api/keys.ts";
import { keyText } from "../../src/ui/keys-text.ts";
import { BaseCommand } from "../support/cli/base-command.ts";
import { keyAccess } from "../support/keys/access.ts";

export default class KeyShow extends BaseCommand {
  static override summary = "Show one API key's settings, and how much it has stored";
  static override examples = [{ description: "Show a key", command: "<%= config.bin %> key show anna" }];
  static override args = { name: Args.string({ required: true, description: "name of the key" }) };

  async run(): Promise<KeyView> {
    const { args, flags } = await this.parse(KeyShow);
    await using access = await keyAccess(this.context(flags));
    const key = await access.show(args.name);
    for (const line of keyText(key)) this.log(line);
    return key;
  }
}
