import type { Item } from "../../../../conversations/item.ts";
import { Cancellation } from "../../../../core/cancellation.ts";
import { AssistantError } from "../../../../core/errors.ts";
import type { JsonObject } from "../../../../core/inference.ts";
import type { Collection, CollectionSpec, Store, Write } from "../../../../core/store.ts";
import { CallerGone } from "../../../../core/upstream.ts";
import { invalid } from "../../../canonical/rules.ts";
import type { ResponseAnswer } from "./answer.ts";
import { isResponseId, responseOfItem } from "./ids.ts";
import type { History, ResponseRequest } from "./request.ts";

/** A response as it is kept. */
export interface StoredResponse {
  readonly response: JsonObject & { readonly output: readonly Item[] };
  /** Items of this request alone. */
  readonly input: readonly Item[];
  readonly previousId: string | null;
  /** Those of its stream, in order, where that may be read again; null: there are none. */
  readonly events: readonly string[] | null;
}

const COLLECTION: CollectionSpec<StoredResponse> = { name: "responses", indexes: {} };

/** Longest chain of responses that a conversation may be. */
const MAX_CHAIN = 1_000;
/** Of the events of one response; a longer stream can be read while it runs, and not again. */
const MAX_EVENT_CHARACTERS = 16 * 2 ** 20;

/** A response that is being made in the background. */
export interface Running {
  readonly tenant: string;
  readonly request: ResponseRequest;
  readonly answer: ResponseAnswer;
  /** By their sequence number. */
  readonly events: string[];
  readonly cancellation: Cancellation;
  /** Called once at the next event, or at the end. */
  readonly watchers: Set<() => void>;
  /** Resolves when it has ended and is kept. */
  readonly ended: Promise<void>;
  end(): void;
}

/**
 * Responses of all tenants, in the store and in the making: one for the daemon, whatever doors it has. What a daemon was
 * making when it crashed is reported as failed.
 */
export class Responses {
  readonly #store: Store;
  readonly #records: Collection<StoredResponse>;
  readonly #retentionMs: () => number;
  readonly #running = new Map<string, Running>();

  /** `retentionMs`: how long a response is kept; 0: none is. Read anew for each. */
  constructor(store: Store, retentionMs: () => number) {
    this.#store = store;
    this.#records = store.collection(COLLECTION);
    this.#retentionMs = retentionMs;
  }

  /** Null: nothing is kept. */
  historyOf(tenant: string): History | null {
    if (this.#retentionMs() === 0) return null;
    return {
      itemsThrough: async (id) => {
        const items = await this.itemsThrough(tenant, id);
        if (items !== null) return items;
        throw invalid(
          "previous_response_id",
          `There is no stored response "${id.slice(0, 100)}", or one that it goes on from was deleted.`,
        );
      },
      item: async (id) => {
        const owner = responseOfItem(id);
        const found = owner === null ? null : await this.find(tenant, owner);
        return [...(found?.input ?? []), ...(found?.response.output ?? [])].find((item) => item.id === id) ?? null;
      },
    };
  }

  /** Null: there is none of the tenant's with this id. */
  async find(tenant: string, id: string): Promise<StoredResponse | null> {
    if (!isResponseId(id)) return null;
    const running = this.running(tenant, id);
    if (running !== null) return storedOf(running.request, running.answer, null);
    const record = await this.#records.get(id);
    if (record === null || record.tenant !== tenant) return null;
    const { status } = record.value.response;
    if (status !== "queued" && status !== "in_progress") return record.value;
    // The daemon that made it is no more.
    const error = { code: "server_error", message: "The daemon ended while it made this response." };
    const lost = (value: StoredResponse): StoredResponse => ({
      ...value,
      response: { ...value.response, status: "failed", error },
    });
    return (await this.#records.update(id, lost))?.value ?? null;
  }

  running(tenant: string, id: string): Running | null {
    const found = this.#running.get(id);
    return found?.tenant === tenant ? found : null;
  }

  /** Input and output items of a conversation up to and with a response; null where one of its responses is not there. */
  async itemsThrough(tenant: string, id: string): Promise<readonly Item[] | null> {
    const turns: (readonly Item[])[] = [];
    for (let next: string | null = id; next !== null; ) {
      const turn: StoredResponse | null = turns.length > 2 * MAX_CHAIN ? null : await this.find(tenant, next);
      if (turn === null) return null;
      const { status, output, conversation } = turn.response as JsonObject & { readonly output: readonly Item[] };
      if (conversation !== undefined)
        throw invalid(
          "previous_response_id",
          `The response "${next}" is part of a conversation; go on with the field "conversation".`,
        );
      if (status !== "completed" && status !== "incomplete")
        throw invalid("previous_response_id", `The response "${next}" cannot be continued: it is ${String(status)}.`);
      turns.unshift(turn.input, output);
      next = turn.previousId;
    }
    return turns.flat();
  }

  /** Input items of a response with those of the conversation before it; null: there is no such response. */
  async inputOf(tenant: string, id: string): Promise<readonly Item[] | null> {
    const found = await this.find(tenant, id);
    if (found === null) return null;
    const earlier = found.previousId === null ? [] : await this.itemsThrough(tenant, found.previousId);
    return [...(earlier ?? []), ...found.input];
  }

  async keep(...kept: Parameters<Responses["keeping"]>): Promise<void> {
    await this.#store.commit([this.keeping(...kept)]);
  }

  /** What keeps a response, for a commit of the caller's. */
  keeping(
    tenant: string,
    request: ResponseRequest,
    answer: ResponseAnswer,
    events: readonly string[] | null = null,
  ): Write {
    const length = events?.reduce((sum, event) => sum + event.length, 0) ?? 0;
    const value = storedOf(request, answer, length > MAX_EVENT_CHARACTERS ? null : events);
    return this.#records.put(request.id, value, { tenant, expiresAt: Date.now() + this.#retentionMs() });
  }

  /** Registers a response that is made in the background; it is kept as such when this resolves. Call `end` when it has ended. */
  async begin(tenant: string, request: ResponseRequest, answer: ResponseAnswer, events: string[]): Promise<Running> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const running = {
      ...{ tenant, request, answer, events, ended: promise },
      cancellation: new Cancellation(),
      watchers: new Set<() => void>(),
      end: () => {
        this.#running.delete(request.id);
        for (const watch of running.watchers) watch();
        resolve();
      },
    };
    this.#running.set(request.id, running);
    try {
      await this.keep(tenant, request, answer);
    } catch (error) {
      running.end();
      throw error;
    }
    return running;
  }

  /** Ends a response that is made in the background, and resolves when it is kept so. */
  async cancel({ cancellation, ended }: Running): Promise<void> {
    cancellation.cancel(new CallerGone());
    await ended;
  }

  /** Ends all that are made in the background for a tenant. */
  async cancelAllOf(tenant: string): Promise<void> {
    const running = [...this.#running.values()].filter((one) => one.tenant === tenant);
    await Promise.all(running.map((one) => this.cancel(one)));
  }

  /** False: there was none. One that is being made is cancelled first. */
  async delete(tenant: string, id: string): Promise<boolean> {
    const running = this.running(tenant, id);
    if (running !== null) await this.cancel(running);
    if ((await this.find(tenant, id)) === null) return false;
    await this.#store.commit([this.#records.remove(id)]);
    return true;
  }
}

const storedOf = (
  { input, previousId }: ResponseRequest,
  { response }: ResponseAnswer,
  events: readonly string[] | null,
): StoredResponse => ({ response, input, previousId, events });

export const responseNotFound = (id: string): AssistantError =>
  new AssistantError("response_not_found", `No response with the id "${id.slice(0, 100)}" is stored.`, {
    param: "response_id",
    remedy: "Responses are kept for `[server] keep_responses_days`, and not where a request has `store = false`.",
  });
