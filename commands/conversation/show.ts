import { Args } from "@oclif/core";
import type { WholeConversation } from "../../src/api/conversations.ts";
import { conversationClient } from "../../src/client/conversation-client.ts";
import { conversationText } from "../../src/ui/conversations-text.ts";
import { BaseCommand } from "../support/cli/base-command.ts";

export default class ConversationShow extends BaseCommand {
  static override summary = "Show a stored conversation";
  static override examples = [
    { description: "One conversation", command: "<%= config.bin %> conversation show conv_0123456789ab" },
  ];
  static override args = { id: Args.string({ description: "id of the conversation", required: true }) };

  async run(): Promise<WholeConversation> {
    const { args, flags } = await this.parse(ConversationShow);
    const conversation = await conversationClient(this.context(flags).paths).show(args.id);
    for (const line of conversationText(conversation)) this.log(line);
    return conversation;
  }
}
