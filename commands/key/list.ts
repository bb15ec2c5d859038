import type { KeyView } from "../../src/api/keys.ts";
import { keysText } from "../../src/ui/keys-text.ts";
import { BaseCommand } from "../support/cli/base-command.ts";
import { keyAccess } from "../support/keys/access.ts";

export default class KeyList extends BaseCommand {
  static override summary = "List API keys, their state and their limits";
  static override description =
    "Lists keys of the store and of the configuration. Secrets are not shown, " +
    "except for the last four characters of stored ones.";
  static override examples = [
    { description: "List them", command: "<%= config.bin %> key list" },
    { description: "As JSON, for scripts", command: "<%= config.bin %> key list --json" },
  ];

  async run(): Promise<{ readonly keys: readonly KeyView[] }> {
    const { flags } = await this.parse(KeyList);
    await using access = await keyAccess(this.context(flags));
    const keys = await access.list();
    if (keys.length === 0)
      this.log("There are no API keys: requests need none. `assistant key create NAME` creates one.");
    else for (const line of keysText(keys)) this.log(line);
    return { keys };
  }
}
