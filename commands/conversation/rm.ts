import { Args } from "@oclif/core";
import { conversationClient } from "../../src/client/conversation-client.ts";
import { BaseCommand } from "../support/cli/base-command.ts";

export default class ConversationRm extends BaseCommand {
  static override strict = false;
  static override usage = "conversation rm ID...";
  static override summary = "Delete stored conversations";
  static override examples = [
    { description: "Delete one", command: "<%= config.bin %> conversation rm conv_0123456789ab" },
  ];
  static override args = { id: Args.string({ description: "id; several may follow", required: true }) };

  async run(): Promise<{ readonly removed: readonly string[] }> {
    const { argv, flags } = await this.parse(ConversationRm);
    const client = conversationClient(this.context(flags).paths);
    const removed: string[] = [];
    for (const id of argv as string[]) {
      await client.remove(id);
      removed.push(id);
      this.log(`Deleted ${id}.`);
    }
    return { removed };
  }
}
