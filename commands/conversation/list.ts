import { Flags } from "@oclif/core";
import type { ConversationPage } from "../../src/api/conversations.ts";
import { conversationClient } from "../../src/client/conversation-client.ts";
import { conversationsText } from "../../src/ui/conversations-text.ts";
import { BaseCommand } from "../support/cli/base-command.ts";

const DEFAULT_LIMIT = 20;

export default class ConversationList extends BaseCommand {
  static override summary = "List stored conversations, most recently changed first";
  static override description =
    "Lists conversations of this machine's user, such as those of `assistant run --conversation`, " +
    "and of requests without an API key. Conversations of an API key are visible to that key only.";
  static override examples = [{ description: "The last ones", command: "<%= config.bin %> conversation list" }];
  static override flags = {
    limit: Flags.integer({ min: 1, max: 1000, default: DEFAULT_LIMIT, description: "how many" }),
    offset: Flags.integer({ min: 0, default: 0, description: "how many to skip" }),
  };

  async run(): Promise<ConversationPage> {
    const { flags } = await this.parse(ConversationList);
    const { limit, offset } = flags;
    const page = await conversationClient(this.context(flags).paths).list({ limit, offset });
    const { conversations, total } = page;
    if (conversations.length === 0) this.log("There are no conversations.");
    else for (const line of conversationsText(conversations, Date.now())) this.log(line);
    const shown = offset + conversations.length;
    if (shown < total) this.say(`There are ${total - shown} more: --offset ${shown} shows the next ones.`);
    return page;
  }
}
