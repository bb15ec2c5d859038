import { Args } from "@oclif/core";
import { objectClient } from "../../src/client/object-client.ts";
import { BaseCommand } from "../support/cli/base-command.ts";

export default class ObjectRm extends BaseCommand {
  static override summary = "Delete an object";
  static override examples = [{ description: "By its key", command: "<%= config.bin %> object rm photo" }];
  static override args = { key: Args.string({ description: "key of the object", required: true }) };

  async run(): Promise<{ readonly deleted: string }> {
    const { args, flags } = await this.parse(ObjectRm);
    await objectClient(this.context(flags).paths).remove(args.key);
    this.log(`Deleted ${args.key}.`);
    return { deleted: args.key };
  }
}
