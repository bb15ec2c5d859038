import type { JsonObject } from "../core/inference.ts";
import type { CollectionSpec } from "../core/store.ts";
import type { Item } from "./item.ts";

/** What is listed of a conversation. Its items are a record of the same id. */
export interface ConversationHead {
  /** Answers where a request names no model. */
  readonly model: string | null;
  /** The first message, which is not among the items. */
  readonly systemPrompt: string | null;
  readonly metadata: JsonObject;
  /** Items of it that are messages. */
  readonly messages: number;
  /** Epoch milliseconds. */
  readonly createdAt: number;
  readonly updatedAt: number;
}

export interface StoredItem {
  /** Epoch milliseconds. */
  readonly at: number;
  readonly item: Item;
}

export interface ConversationItems {
  readonly items: readonly StoredItem[];
}

export const headCollection: CollectionSpec<ConversationHead> = {
  name: "conversations",
  indexes: { tenant: ["@tenant", "updatedAt"] },
  held: true,
};

export const itemCollection: CollectionSpec<ConversationItems> = {
  name: "conversation_items",
  indexes: {},
  held: true,
};
