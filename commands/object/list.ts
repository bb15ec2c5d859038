import { Flags } from "@oclif/core";
import type { ObjectPage } from "../../src/api/objects.ts";
import { objectClient } from "../../src/client/object-client.ts";
import { printable } from "../../src/ui/printable.ts";
import { BaseCommand } from "../support/cli/base-command.ts";

const DEFAULT_LIMIT = 100;

export default class ObjectList extends BaseCommand {
  static override summary = "List objects by key, with size, type and time";
  static override examples = [
    { description: "A whole page, as JSON", command: "<%= config.bin %> object list --json" },
  ];
  static override flags = {
    limit: Flags.integer({ min: 1, max: 1000, default: DEFAULT_LIMIT, description: "how many" }),
    after: Flags.string({ helpValue: "KEY", description: "value of `next` on the previous page" }),
  };

  async run(): Promise<ObjectPage> {
    const { flags } = await this.parse(ObjectList);
    const page = await objectClient(this.context(flags).paths).list({
      limit: String(flags.limit),
      ...(flags.after === undefined ? {} : { after: flags.after }),
    });
    if (page.objects.length === 0) this.log("There are no objects.");
    for (const { key, size, content_type: type, created_at: created } of page.objects)
      this.log(`${printable(key)}  ${size} bytes  ${type}  ${new Date(created * 1000).toISOString()}`);
    if (page.next !== null) this.say(`There are more: --after ${printable(page.next)} shows the next ones.`);
    return page;
  }
}
