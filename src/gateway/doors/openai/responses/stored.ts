import type { Item } from "../../../../conversations/item.ts";
import { AssistantError, type ErrorCode, isAssistantError } from "../../../../core/errors.ts";
import type { JsonObject } from "../../../../core/inference.ts";
import type { Collection, CollectionSpec, Store, Write } from "../../../../core/store.ts";
import type { Growing, Relay } from "../../../../tasks/relay.ts";
import type { Tasks } from "../../../../tasks/tasks.ts";
import { invalid } from "../../../canonical/rules.ts";
import type { ResponseAnswer } from "./answer.ts";
import { isResponseId, responseOfItem } from "./ids.ts";
import { Live } from "./live.ts";
import type { History, ResponseRequest } from "./request.ts";

/** A response as stored. */
export interface StoredResponse {
  readonly response: JsonObject & { readonly output: readonly Item[] };
  /** Items of this request alone. */
  readonly input: readonly Item[];
  readonly previousId: string | null;
  /** Those of its stream, in order, if it may be replayed; null: there are none. */
  readonly events: readonly string[] | null;
}

const COLLECTION: CollectionSpec<StoredResponse> = { name: "responses", indexes: {}, held: true };

/** Maximum number of chained responses in a conversation. */
const MAX_CHAIN = 1_000;
/** Limit for the JSON of such a conversation, which is read as a whole. */
const MAX_CHAIN_CHARACTERS = 64 * 2 ** 20;
/** Limit for the events of one response; a longer stream can be followed live, but not replayed. */
const MAX_EVENT_CHARACTERS = 16 * 2 ** 20;

/** The part of the task queue that background responses need. */
export type ResponseQueue = Pick<Tasks, "enqueue" | "find" | "cancel" | "remove">;

export interface ResponsesOptions {
  /** Runs background responses. Default: there are none. */
  readonly queue?: ResponseQueue;
  /** Whether a tenant's responses are stored: not for a key that was revoked in the meantime. Default: they are. */
  readonly mayKeep?: (tenant: string) => boolean;
  /** Lets other daemons follow what `read` finds. Default: there are none. */
  readonly relay?: (read: (id: string) => Growing | null) => Relay | null;
}

/**
 * Responses of all tenants, stored and in progress: one for the daemon, for all doors. A background response is a task
 * with the same id, which has its status while nothing is generating it.
 */
export class Responses {
  readonly #store: Store;
  readonly #records: Collection<StoredResponse>;
  readonly #retentionMs: () => number;
  readonly mayKeep: (tenant: string) => boolean;
  readonly #live = new Map<string, Live>();
  readonly queue: ResponseQueue | null;
  readonly #relay: Relay | null;

  /** `retentionMs`: how long a response is stored; 0: none is. Read for each. */
  constructor(store: Store, retentionMs: () => number, { queue, mayKeep = () => true, relay }: ResponsesOptions = {}) {
    this.#store = store;
    this.#records = store.collection(COLLECTION);
    this.#retentionMs = retentionMs;
    this.mayKeep = mayKeep;
    this.queue = queue ?? null;
    this.#relay = relay?.((id) => this.#live.get(id)?.growing ?? null) ?? null;
  }

  /** Null: nothing is stored. */
  historyOf(tenant: string): History | null {
    if (this.#retentionMs() === 0) return null;
    return {
      itemsThrough: async (id) => {
        const items = await this.itemsThrough(tenant, id);
        if (items !== null) return items;
        throw invalid(
          "previous_response_id",
          `There is no stored response "${id.slice(0, 100)}", or one that it continues was deleted.`,
        );
      },
      item: async (id) => {
        const owner = responseOfItem(id);
        const found = owner === null ? null : await this.find(tenant, owner);
        return [...(found?.input ?? []), ...(found?.response.output ?? [])].find((item) => item.id === id) ?? null;
      },
    };
  }

  /** Null: the tenant has none with this id. */
  async find(tenant: string, id: string): Promise<StoredResponse | null> {
    if (!isResponseId(id)) return null;
    const record = await this.#records.get(id);
    if (record === null || record.tenant !== tenant) return null;
    const { value } = record;
    if (!isPending(value)) return value;
    const answer = this.#live.get(id)?.answer ?? null;
    if (answer !== null) return { ...value, response: answer.response };
    const task = await this.queue?.find(id);
    if (task?.status === "processing") return { ...value, response: { ...value.response, status: "in_progress" } };
    if (task?.status === "pending") return value;
    const message = task?.error?.message ?? "The daemon exited while it generated this response.";
    const ending =
      task?.status === "cancelled"
        ? { status: "cancelled" }
        : { status: "failed", error: { code: "server_error", message } };
    const ended = await this.#records.update(id, (now) =>
      isPending(now) ? { ...now, response: { ...now.response, ...ending } } : null,
    );
    return ended?.value ?? null;
  }

  /** The destination of a background response's events, now or later. */
  live(id: string): Live {
    const known = this.#live.get(id);
    if (known !== undefined) return known;
    const live: Live = new Live(
      () => {
        if (this.#live.get(id) === live) this.#live.delete(id);
      },
      () => this.#relay?.grown(id),
    );
    this.#live.set(id, live);
    return live;
  }

  /** The events of a response from a number on; future ones end with it. */
  async *follow(tenant: string, id: string, live: Live, from: number): AsyncGenerator<string> {
    using _elsewhere = this.#relay?.follow(id, () => live.mirror) ?? null;
    yield* live.follow(from, async () => {
      const stored = await this.find(tenant, id);
      return stored === null || !isPending(stored);
    });
  }

  /**
   * Input and output items of a conversation up to and including a response; null if one of its responses is missing.
   */
  async itemsThrough(tenant: string, id: string): Promise<readonly Item[] | null> {
    const turns: (readonly Item[])[] = [];
    let characters = 0;
    for (let next: string | null = id; next !== null; ) {
      const turn: StoredResponse | null = turns.length > 2 * MAX_CHAIN ? null : await this.find(tenant, next);
      if (turn === null) return null;
      const { status, output, conversation } = turn.response as JsonObject & { readonly output: readonly Item[] };
      if (conversation !== undefined)
        throw invalid(
          "previous_response_id",
          `The response "${next}" is part of a conversation; continue it with the field "conversation".`,
        );
      if (status !== "completed" && status !== "incomplete")
        throw invalid("previous_response_id", `The response "${next}" cannot be continued: it is ${String(status)}.`);
      characters += JSON.stringify([turn.input, output]).length;
      if (characters > MAX_CHAIN_CHARACTERS)
        throw invalid(
          "previous_response_id",
          `The responses up to "${id}" have more than ${MAX_CHAIN_CHARACTERS} characters; begin a new conversation.`,
        );
      turns.unshift(turn.input, output);
      next = turn.previousId;
    }
    return turns.flat();
  }

  /** Input items of a response with those of the preceding conversation; null: there is no such response. */
  async inputOf(tenant: string, id: string): Promise<readonly Item[] | null> {
    const found = await this.find(tenant, id);
    if (found === null) return null;
    const earlier = found.previousId === null ? [] : await this.itemsThrough(tenant, found.previousId);
    return [...(earlier ?? []), ...found.input];
  }

  async keep(...kept: Parameters<Responses["keeping"]>): Promise<void> {
    const [tenant, request, answer, events = null] = kept;
    if (!this.mayKeep(tenant)) return;
    // A response deleted in the meantime, possibly through another daemon, stays deleted.
    if (request.isBackground && answer.hasEnded)
      await this.#records.update(request.id, () => storedOf(request, answer, withinLimit(events)));
    else await this.#store.commit([this.keeping(...kept)]);
  }

  /** Rejects with `storage_quota_exceeded` if no more responses to be stored may be started. */
  async requireRoom(tenant: string): Promise<void> {
    await this.#store.requireRoom(tenant);
  }

  /** The writes that store a response, for the caller's commit. It was accepted, so no limit applies to its answer. */
  keeping(
    tenant: string,
    request: ResponseRequest,
    answer: ResponseAnswer,
    events: readonly string[] | null = null,
  ): Write {
    const value = storedOf(request, answer, withinLimit(events));
    const options = { tenant, expiresAt: Date.now() + this.#retentionMs(), beyondLimits: true };
    return this.#records.put(request.id, value, options);
  }

  /** Cancels a background response; it has ended, in one way or another, when this resolves. */
  async cancel(tenant: string, id: string): Promise<void> {
    const task = await this.queue?.cancel(id, tenant).catch(ignoring("task_finished", "task_not_found"));
    const wasMade = task !== undefined && task.value.startedAt !== null;
    const live = this.#live.get(id);
    if (live !== undefined && live.answer !== null) await live.over;
    // Otherwise its end comes from the daemon that generates it.
    else if (!wasMade || this.#relay === null) live?.end();
  }

  /** Resolves when none of a tenant's cancelled responses is being generated any more. */
  async endedAllOf(tenant: string): Promise<void> {
    const made = [...this.#live.values()].filter((live) => live.answer !== null && live.tenant === tenant);
    await Promise.all(made.map(({ over }) => over));
  }

  /** Deletes it and its task, which contains the text too. False: there was none. */
  async delete(tenant: string, id: string): Promise<boolean> {
    const found = await this.find(tenant, id);
    if (found === null) return false;
    // The task of a complete response may not have ended yet.
    await this.cancel(tenant, id);
    await this.withdraw(id);
    await this.queue?.remove(id, tenant).catch(ignoring("task_not_found"));
    return true;
  }

  /** Deletes the record of a response that has no task. */
  async withdraw(id: string): Promise<void> {
    await this.#store.commit([this.#records.remove(id)]);
  }
}

const ignoring =
  (...codes: readonly ErrorCode[]) =>
  (error: unknown): undefined => {
    if (!isAssistantError(error) || !codes.includes(error.code)) throw error;
  };

const withinLimit = (events: readonly string[] | null): readonly string[] | null => {
  const length = events?.reduce((sum, event) => sum + event.length, 0) ?? 0;
  return length > MAX_EVENT_CHARACTERS ? null : events;
};

/** Whether it is waiting or being generated. */
export const isPending = ({ response: { status } }: StoredResponse): boolean =>
  status === "queued" || status === "in_progress";

const storedOf = (
  { input, previousId }: ResponseRequest,
  { response }: ResponseAnswer,
  events: readonly string[] | null,
): StoredResponse => ({ response, input, previousId, events });

export const responseNotFound = (id: string): AssistantError =>
  new AssistantError("response_not_found", `No response with the id "${id.slice(0, 100)}" is stored.`, {
    param: "response_id",
    remedy: "Responses are stored for `[server] keep_responses_days`, except with `store = false`.",
  });
