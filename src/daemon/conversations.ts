import { Conversations } from "../conversations/conversations.ts";
import type { Stores } from "../store/stores.ts";
import type { Current } from "./current.ts";

export const createConversations = (current: Current, { records: store }: Pick<Stores, "records">): Conversations =>
  new Conversations({ store, settings: () => current.config.conversations, now: Date.now });
