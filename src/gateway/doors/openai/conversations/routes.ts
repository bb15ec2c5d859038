import type { FastifyInstance, FastifyRequest } from "fastify";
import { type Conversation, type Conversations, itemNotFound } from "../../../../conversations/conversations.ts";
import { type Item, isCall, isCallOutput, kindOf } from "../../../../conversations/item.ts";
import { AssistantError } from "../../../../core/errors.ts";
import { newItemId } from "../../../../core/ids.ts";
import type { JsonObject } from "../../../../core/inference.ts";
import { type Body, invalid, isObject, mustBe, shown } from "../../../canonical/rules.ts";
import { metadata } from "../responses/fields.ts";
import { checkedItems } from "../responses/items.ts";
import { pageOf } from "../responses/page.ts";
import { described } from "./describe.ts";

/** OpenAI's limit for items added at once. */
const MAX_ADDED = 20;

/** OpenAI's Conversations API. A tenant sees only its own. */
export function registerConversationRoutes(app: FastifyInstance, conversations: Conversations): void {
  for (const prefix of ["", "/v1"]) {
    const path = `${prefix}/conversations`;
    const one = `${path}/:id`;
    app.post(path, { config: { describe: described.create } }, async (request) => {
      const { items, metadata: given } = fieldsOf(request.body ?? {}, ["items", "metadata"]);
      return shownConversation(
        await conversations.create(tenantOf(request), {
          ...{ model: null, systemPrompt: null, metadata: metadataOf(given) },
          items: items === undefined ? [] : newItems(items, []),
        }),
      );
    });
    app.get(one, { config: { describe: described.show } }, async (request) =>
      shownConversation(await conversations.get(tenantOf(request), idOf(request))),
    );
    app.post(one, { config: { describe: described.update } }, async (request) => {
      const { metadata: given } = fieldsOf(request.body, ["metadata"]);
      const change = { metadata: metadataOf(given) };
      return shownConversation(await conversations.update(tenantOf(request), idOf(request), change));
    });
    app.delete(one, { config: { describe: described.delete } }, async (request) => {
      await conversations.delete(tenantOf(request), idOf(request));
      return { id: idOf(request), object: "conversation.deleted", deleted: true };
    });
    app.get(`${one}/items`, { config: { describe: described.items } }, async (request) =>
      pageOf((await itemsOf(request, conversations)).map(shownItem), request.query as Body),
    );
    app.post(`${one}/items`, { config: { describe: described.add } }, async (request) => {
      const { items } = fieldsOf(request.body, ["items"]);
      const fresh = newItems(items, await itemsOf(request, conversations));
      const { added } = await conversations.append(tenantOf(request), idOf(request), fresh);
      const data = added.map(({ item }) => shownItem(item));
      return { object: "list", data, first_id: data[0]?.id, last_id: data.at(-1)?.id, has_more: false };
    });
    app.get(`${one}/items/:item`, { config: { describe: described.item } }, async (request) => {
      const found = (await itemsOf(request, conversations)).find(({ id }) => id === itemIdOf(request));
      if (found === undefined) throw itemNotFound(itemIdOf(request));
      return shownItem(found);
    });
    app.delete(`${one}/items/:item`, { config: { describe: described.deleteItem } }, async (request) =>
      shownConversation(await conversations.removeItem(tenantOf(request), idOf(request), itemIdOf(request))),
    );
  }
}

const tenantOf = ({ identity }: FastifyRequest): string => identity.caller.tenant;
const idOf = ({ params }: FastifyRequest): string => (params as { readonly id: string }).id;
const itemIdOf = ({ params }: FastifyRequest): string => (params as { readonly item: string }).item;

const itemsOf = async (request: FastifyRequest, conversations: Conversations): Promise<readonly Item[]> =>
  (await conversations.read(tenantOf(request), idOf(request))).items.map(({ item }) => item);

/** The given fields; null counts as missing. Throws `invalid_request` for others. */
function fieldsOf(body: unknown, names: readonly string[]): Body {
  if (!isObject(body)) throw new AssistantError("invalid_request", `The body must be an object; found ${shown(body)}.`);
  const other = Object.keys(body).find((name) => !names.includes(name));
  if (other !== undefined)
    throw invalid(
      other.slice(0, 100),
      `There is no field ${JSON.stringify(other.slice(0, 100))}; expected one of ${names.join(", ")}.`,
    );
  return Object.fromEntries(Object.entries(body).filter(([, value]) => value !== null));
}

function metadataOf(given: unknown = {}): JsonObject {
  mustBe(metadata, given, "metadata");
  return given as JsonObject;
}

/** Items of a body with new ids. Throws `invalid_request`. */
function newItems(given: unknown, before: readonly Item[]): readonly Item[] {
  if (!Array.isArray(given) || given.length > MAX_ADDED)
    throw invalid("items", `The field "items" must be an array of at most ${MAX_ADDED} items; found ${shown(given)}.`);
  const calls = new Set(before.filter(isCall).map(({ call_id: id }) => id));
  return checkedItems(given, "items", newItemId).map((item, index) => {
    const { type, call_id: callId } = item;
    if (type === "item_reference")
      throw invalid(
        `items[${index}].type`,
        `"items[${index}].type" must not be "item_reference": send the item itself.`,
      );
    if (isCall(item)) calls.add(callId);
    if (isCallOutput(item) && !calls.has(callId))
      throw invalid(
        `items[${index}].call_id`,
        `"items[${index}].call_id" is the output of a call that is not in the conversation.`,
      );
    return { ...item, id: newItemId(kindOf(type)) };
  });
}

const shownConversation = ({ id, createdAt, metadata: kept }: Conversation): object => ({
  id,
  object: "conversation",
  created_at: Math.floor(createdAt / 1000),
  metadata: kept,
});

const shownItem = (item: Item): Item => (item["status"] === undefined ? { ...item, status: "completed" } : item);
