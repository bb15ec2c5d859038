import type { ConversationSettings } from "../core/config.ts";
import { AssistantError } from "../core/errors.ts";
import { newConversationId, newItemId } from "../core/ids.ts";
import type { JsonObject } from "../core/inference.ts";
import type { Collection, Store, StoredRecord, Write } from "../core/store.ts";
import { type HistoryAsk, HistoryWindow, type TokenCounter } from "./history.ts";
import { type Item, isCall, isCallOutput, isMessage, kindOf, textMessage } from "./item.ts";
import {
  type ConversationHead,
  type ConversationItems,
  headCollection,
  itemCollection,
  type StoredItem,
} from "./record.ts";
import { newest } from "./turns.ts";

/** Longest JSON of a conversation's items; of the last turn, which is kept in any case. */
const MAX_BYTES = 32 * 2 ** 20;
const MAX_TURN_BYTES = 64 * 2 ** 20;
const PAGE = 1_000;

export interface ConversationsOptions {
  readonly store: Pick<Store, "collection" | "commit" | "requireRoom">;
  /** Read each time, so that a reload takes effect. */
  readonly settings: () => ConversationSettings;
  /** Epoch milliseconds. */
  readonly now: () => number;
  /** Default: nothing is counted. */
  readonly countTokens?: TokenCounter;
}

/** A conversation, without its items. */
export interface Conversation extends ConversationHead {
  readonly id: string;
  /** The system prompt counts as one. */
  readonly messageCount: number;
}

export interface NewConversation {
  readonly model: string | null;
  readonly systemPrompt: string | null;
  readonly metadata: JsonObject;
  readonly items?: readonly Item[];
}

/** What a change makes of a conversation. */
type Changed = Partial<Pick<ConversationHead, "model" | "systemPrompt" | "metadata">> & Partial<ConversationItems>;

/**
 * Stored chat histories that can be continued. A conversation belongs to the tenant that created it: methods with an id
 * throw `conversation_not_found` for all others, and if there is none.
 */
export class Conversations {
  readonly #options: ConversationsOptions;
  readonly #heads: Collection<ConversationHead>;
  readonly #items: Collection<ConversationItems>;
  readonly #window: HistoryWindow;

  constructor(options: ConversationsOptions) {
    this.#options = options;
    this.#heads = options.store.collection(headCollection);
    this.#items = options.store.collection(itemCollection);
    this.#window = new HistoryWindow(options.countTokens ?? (async () => null));
  }

  async create(tenant: string, { items = [], ...order }: NewConversation): Promise<Conversation> {
    const createdAt = this.#options.now();
    for (;;) {
      const id = newConversationId();
      const before = { ...order, messages: 0, createdAt, updatedAt: createdAt };
      const added = this.#added(items, []);
      const { writes, head } = this.#writes({ id, tenant, revision: 0, value: before }, { items: added });
      if ((await this.#options.store.commit(writes)).ok) return shown(id, head);
    }
  }

  /** Rejects with `storage_quota_exceeded` where the tenant may begin no turn that is to be kept. */
  async requireRoom(tenant: string): Promise<void> {
    await this.#options.store.requireRoom(tenant);
  }

  async get(tenant: string, id: string): Promise<Conversation> {
    return shown(id, (await this.#head(tenant, id)).value);
  }

  /** The conversation and all of its items in order, the system prompt as the first. */
  async read(
    tenant: string,
    id: string,
  ): Promise<{ readonly conversation: Conversation; readonly items: readonly StoredItem[] }> {
    const { value } = await this.#head(tenant, id);
    return { conversation: shown(id, value), items: [...systemItem(id, value), ...(await this.#itemsOf(id))] };
  }

  /** What a model is to see of the conversation before what is new: as much as its context holds. */
  async history(tenant: string, id: string, ask: HistoryAsk): Promise<readonly Item[]> {
    const { items } = await this.read(tenant, id);
    const own = ask.systemPrompt === null ? items : items.filter(({ item }) => item.id !== systemItemId(id));
    return await this.#window.fitting(own, ask);
  }

  /** The last changed first. */
  async list(
    tenant: string,
    { limit, offset }: { readonly limit: number; readonly offset: number },
  ): Promise<{ readonly conversations: readonly Conversation[]; readonly total: number }> {
    const query = { index: "tenant", equals: [tenant] };
    const total = await this.#heads.count(query);
    const found: Conversation[] = [];
    let passed = 0;
    for (let after: string | null | undefined; after !== null && passed < offset + limit; ) {
      const page = await this.#heads.list({
        ...query,
        order: "desc",
        limit: Math.min(PAGE, offset + limit - passed),
        ...(after === undefined ? {} : { after }),
      });
      const skipped = Math.max(0, offset - passed);
      found.push(...page.records.slice(skipped).map(({ id, value }) => shown(id, value)));
      passed += page.records.length;
      after = page.next;
    }
    return { conversations: found, total };
  }

  /** Changes what is given. */
  async update(
    tenant: string,
    id: string,
    change: Partial<Pick<ConversationHead, "model" | "systemPrompt" | "metadata">>,
  ): Promise<Conversation> {
    return (await this.#change(tenant, id, () => change)).conversation;
  }

  /**
   * Adds items at the end, under new ids where theirs are taken, and returns them. `also`: writes of the same commit,
   * which expect nothing. `isTurn`: they hold an answer, which no limit takes away any more.
   */
  async append(
    tenant: string,
    id: string,
    items: readonly Item[],
    options: {
      readonly systemPrompt?: string | null;
      readonly also?: readonly Write[];
      readonly isTurn?: boolean;
    } = {},
  ): Promise<{ readonly conversation: Conversation; readonly added: readonly StoredItem[] }> {
    const { systemPrompt = null, also = [], isTurn = false } = options;
    const { conversation, items: all } = await this.#change(
      tenant,
      id,
      (_, before) => ({
        ...(systemPrompt === null ? {} : { systemPrompt }),
        items: [...before, ...this.#added(items, before)],
      }),
      also,
      isTurn,
    );
    return { conversation, added: all.slice(-items.length) };
  }

  /**
   * The same as writes for a commit of the caller's, which fails where the conversation changes meanwhile; null: it is
   * gone.
   */
  async appending(
    tenant: string,
    id: string,
    items: readonly Item[],
    systemPrompt: string | null,
  ): Promise<readonly Write[] | null> {
    const record = await this.#find(tenant, id);
    if (record === null) return null;
    const before = await this.#itemsOf(id);
    const all = [...before, ...this.#added(items, before)];
    return this.#writes(record, { ...(systemPrompt === null ? {} : { systemPrompt }), items: all }, true).writes;
  }

  /** Removes the items. The system prompt is none of them and stays. */
  async clear(tenant: string, id: string): Promise<Conversation> {
    return (await this.#change(tenant, id, () => ({ items: [] }))).conversation;
  }

  /** Of a call its output goes too. Throws `item_not_found`. */
  async removeItem(tenant: string, id: string, itemId: string): Promise<Conversation> {
    const { conversation } = await this.#change(tenant, id, ({ systemPrompt }, items) => {
      if (systemPrompt !== null && itemId === systemItemId(id)) return { systemPrompt: null };
      const removed = items.find(({ item }) => item.id === itemId)?.item;
      if (removed === undefined) throw itemNotFound(itemId);
      const isOutput = (item: Item): boolean =>
        isCall(removed) && isCallOutput(item) && item["call_id"] === removed["call_id"];
      return { items: items.filter(({ item }) => item !== removed && !isOutput(item)) };
    });
    return conversation;
  }

  /** A new conversation with the first `messages` messages of another (null: all), and what is between them. */
  async branch(tenant: string, id: string, messages: number | null): Promise<Conversation> {
    const { conversation, items } = await this.read(tenant, id);
    const { model, metadata, messageCount, systemPrompt } = conversation;
    const count = messages ?? messageCount;
    if (count > messageCount)
      throw new AssistantError(
        "invalid_request",
        `at_message: expected at most ${messageCount}, the number of messages there are, found ${count}.`,
        { param: "at_message" },
      );
    const own = items.filter(({ item }) => item.id !== systemItemId(id));
    const left = messages === null ? own : firstMessages(own, count - (systemPrompt === null ? 0 : 1));
    return await this.create(tenant, { model, metadata, systemPrompt, items: left.map(({ item }) => item) });
  }

  async delete(tenant: string, id: string): Promise<void> {
    await this.#head(tenant, id);
    await this.#options.store.commit([this.#heads.remove(id), this.#items.remove(id)]);
  }

  async #change(
    tenant: string,
    id: string,
    change: (head: ConversationHead, items: readonly StoredItem[]) => Changed,
    also: readonly Write[] = [],
    isTurn = false,
  ): Promise<{ readonly conversation: Conversation; readonly items: readonly StoredItem[] }> {
    for (;;) {
      const record = await this.#head(tenant, id);
      const before = await this.#itemsOf(id);
      const { writes, head, items } = this.#writes(record, { items: before, ...change(record.value, before) }, isTurn);
      if ((await this.#options.store.commit([...writes, ...also])).ok) return { conversation: shown(id, head), items };
    }
  }

  /** What stores a change, and postpones the end of the conversation. */
  #writes(
    { id, tenant, revision, value }: Pick<StoredRecord<ConversationHead>, "id" | "tenant" | "revision" | "value">,
    { items: all = [], ...change }: Changed,
    beyondLimits = false,
  ): { readonly writes: readonly Write[]; readonly head: ConversationHead; readonly items: readonly StoredItem[] } {
    const now = this.#options.now();
    const { ttlMs, maxItems } = this.#options.settings();
    const changedHead = { ...value, ...change, updatedAt: now };
    const own = changedHead.systemPrompt === null ? maxItems : Math.max(1, maxItems - 1);
    const items = newest(all, ({ item }) => item, { maxItems: own, maxBytes: MAX_BYTES, maxTurnBytes: MAX_TURN_BYTES });
    const head = { ...changedHead, messages: items.filter(({ item }) => isMessage(item)).length };
    const expiresAt = now + ttlMs;
    const writes = [
      this.#heads.put(id, head, { tenant, expiresAt, expect: revision, beyondLimits }),
      this.#items.put(id, { items }, { tenant, expiresAt, beyondLimits }),
    ];
    return { writes, head, items };
  }

  #added(items: readonly Item[], before: readonly StoredItem[]): readonly StoredItem[] {
    return withOwnIds(items, before).map((item) => ({ at: this.#options.now(), item }));
  }

  async #find(tenant: string, id: string): Promise<StoredRecord<ConversationHead> | null> {
    const record = isConversationId(id) ? await this.#heads.get(id) : null;
    return record?.tenant === tenant ? record : null;
  }

  async #head(tenant: string, id: string): Promise<StoredRecord<ConversationHead>> {
    const record = await this.#find(tenant, id);
    if (record !== null) return record;
    throw conversationNotFound(id);
  }

  async #itemsOf(id: string): Promise<readonly StoredItem[]> {
    return (await this.#items.get(id))?.value.items ?? [];
  }
}

const isConversationId = (id: string): boolean => /^conv_[0-9a-f]{12}$/.test(id);

const shown = (id: string, head: ConversationHead): Conversation => ({
  ...head,
  id,
  messageCount: head.messages + (head.systemPrompt === null ? 0 : 1),
});

const systemItemId = (id: string): string => id.replace(/^conv_/, "msg_").padEnd("msg_".length + 24, "0");

const systemItem = (id: string, { systemPrompt, createdAt }: ConversationHead): readonly StoredItem[] =>
  systemPrompt === null ? [] : [{ at: createdAt, item: textMessage(systemItemId(id), "system", systemPrompt) }];

/** No two items of a conversation have the same id. */
function withOwnIds(items: readonly Item[], before: readonly StoredItem[]): readonly Item[] {
  const taken = new Set(before.map(({ item }) => item.id));
  return items.map((item) => {
    const own = taken.has(item.id) ? { ...item, id: newItemId(kindOf(item.type)) } : item;
    taken.add(own.id);
    return own;
  });
}

/** Elements up to and with the message of that number, from 1. */
function firstMessages(items: readonly StoredItem[], count: number): readonly StoredItem[] {
  let seen = 0;
  const end = items.findIndex(({ item }) => {
    if (isMessage(item)) seen++;
    return seen > count || (seen === count && isMessage(item));
  });
  return count <= 0 ? [] : items.slice(0, end + 1);
}

export const conversationNotFound = (id: string): AssistantError =>
  new AssistantError("conversation_not_found", `There is no conversation ${JSON.stringify(id.slice(0, 100))}.`, {
    param: "conversation_id",
    remedy: "`assistant conversation list` shows yours; they are deleted some days after their last change.",
  });

export const itemNotFound = (itemId: string): AssistantError =>
  new AssistantError("item_not_found", `The conversation has no item ${JSON.stringify(itemId.slice(0, 100))}.`, {
    param: "item_id",
  });
