import type { Clock } from "../core/clock.ts";
import type { WebhookSettings } from "../core/config.ts";
import { oneAtATime } from "../core/one-at-a-time.ts";
import { version } from "../core/package.ts";
import type { Collection, CollectionSpec, Store, StoredRecord } from "../core/store.ts";
import type { Tracer } from "../core/trace.ts";
import type { Log } from "../inference/ports.ts";
import type { DeliveryRecord } from "./delivery.ts";
import type { TaskRecord } from "./record.ts";
import { newSecret, signedHeaders } from "./signature.ts";
import { beginWebhookSpan, endWebhookSpan } from "./task-span.ts";
import { WebhookClient } from "./webhook-post.ts";
import { webhookBody } from "./wire.ts";

const MAX_SENDING = 32;
/** So that a slow receiver does not block the others. */
const MAX_SENDING_PER_HOST = 4;
const FIRST_RETRY_MS = 1_000;
const STORE_RETRY_MS = 1_000;
const MAX_WAIT_MS = 3_600_000;
const PAGE = 100;
/** How soon a daemon sends what another one should have sent. */
const SHARED_LOOK_MS = 5_000;
/** In addition to a receiver's timeout, before another daemon sends what this one did not record. */
const CLAIM_SLACK_MS = 5_000;
/** Due deliveries read at once. */
const MAX_PAGES = 10;

interface SecretRecord {
  readonly secret: string;
}
const secretCollection: CollectionSpec<SecretRecord> = { name: "webhook_secret", indexes: {} };
const SECRET_ID = "current";

export interface WebhooksOptions {
  readonly store: Pick<Store, "collection" | "commit" | "isShared">;
  readonly deliveries: Collection<DeliveryRecord>;
  readonly tasks: Pick<Collection<TaskRecord>, "get">;
  readonly settings: () => WebhookSettings;
  readonly clock: Clock;
  readonly log: Log;
  readonly tracer: Tracer | null;
  /** Called after each attempt. */
  readonly sent: (accepted: boolean) => void;
}

/** Milliseconds after this many failed attempts. */
export const retryDelayMs = (attempts: number): number => FIRST_RETRY_MS * 2 ** (attempts - 1);

/**
 * Sends the deliveries that are due in the store, and retries failed ones. An attempt is recorded after it, so a crash
 * repeats it.
 */
export class Webhooks {
  readonly #options: WebhooksOptions;
  readonly #secrets: Collection<SecretRecord>;
  readonly #client = new WebhookClient();
  /** Host of each delivery in progress, by its id. */
  readonly #sending = new Map<string, string>();
  #timer: Disposable | null = null;
  #dueAt = Number.POSITIVE_INFINITY;
  #state: "new" | "running" | "stopped" = "new";
  readonly #look = oneAtATime(async () => {
    if (this.#state !== "running") return;
    const { clock, log } = this.#options;
    try {
      await this.#sendDue();
    } catch (error) {
      log.warn({ err: error }, "webhooks could not be read");
      this.#lookAt(clock.now() + STORE_RETRY_MS);
    }
  });

  constructor(options: WebhooksOptions) {
    this.#options = options;
    this.#secrets = options.store.collection(secretCollection);
  }

  start(): void {
    this.#state = "running";
    this.look();
    if (this.#options.store.isShared) this.#lookRegularly();
  }

  /** Aborts deliveries in progress; they are sent again at the next start. */
  async stop(): Promise<void> {
    this.#state = "stopped";
    this.#timer?.[Symbol.dispose]();
    await this.#client.close();
  }

  /** The secret that signs webhooks: the configured one, or one that is generated now and stored. */
  async secret(): Promise<string> {
    const { settings, store } = this.#options;
    const { secret: configured } = settings();
    if (configured !== null) return configured;
    for (;;) {
      const record = await this.#secrets.get(SECRET_ID);
      if (record !== null) return record.value.secret;
      await store.commit([this.#secrets.put(SECRET_ID, { secret: newSecret() }, { tenant: "local", expect: 0 })]);
    }
  }

  /** A delivery may be due. */
  look(): void {
    if (this.#state === "running") void this.#look();
  }

  #lookRegularly(): void {
    if (this.#state === "stopped") return;
    this.#options.clock.after(SHARED_LOOK_MS, () => {
      this.look();
      this.#lookRegularly();
    });
  }

  async #sendDue(): Promise<void> {
    const { deliveries, clock } = this.#options;
    let after: StoredRecord<DeliveryRecord> | undefined;
    for (let page = 0; page < MAX_PAGES; page++) {
      const from = after === undefined ? {} : { after };
      const { records, next } = await deliveries.list({ index: "due", limit: PAGE, ...from });
      for (const record of records) {
        const { dueAt } = record.value;
        if (dueAt !== null && dueAt > clock.now()) {
          this.#lookAt(dueAt);
          return;
        }
        if (this.#sending.size >= MAX_SENDING) return;
        this.#begin(record);
      }
      after = records.at(-1);
      if (next === null || after === undefined) return;
    }
  }

  #begin(record: StoredRecord<DeliveryRecord>): void {
    const { clock, log } = this.#options;
    const host = URL.parse(record.value.url)?.host ?? "";
    const toHost = [...this.#sending.values()].filter((other) => other === host).length;
    if (this.#sending.has(record.id) || toHost >= MAX_SENDING_PER_HOST) return;
    this.#sending.set(record.id, host);
    void this.#claimed(record)
      .then((claimed) => (claimed ? this.#send(record) : undefined))
      .then(() => this.#done(record.id))
      .catch((error: unknown) => {
        log.warn({ err: error, task: record.id }, "a webhook could not be recorded");
        clock.after(STORE_RETRY_MS, () => this.#done(record.id));
      });
  }

  /** Claims a delivery for this daemon. Meanwhile it is not due for others. */
  async #claimed({ id, tenant, revision, expiresAt, value }: StoredRecord<DeliveryRecord>): Promise<boolean> {
    const { store, deliveries, settings, clock } = this.#options;
    if (!store.isShared) return true;
    const dueAt = clock.now() + settings().timeoutMs + CLAIM_SLACK_MS;
    const write = deliveries.put(id, { ...value, dueAt }, { tenant, expiresAt, expect: revision });
    return (await store.commit([write])).ok;
  }

  #done(id: string): void {
    this.#sending.delete(id);
    this.look();
  }

  async #send({ id, value: { url, attempts } }: StoredRecord<DeliveryRecord>): Promise<void> {
    const { tasks, deliveries, settings, clock, log, tracer } = this.#options;
    const task = await tasks.get(id);
    const { retries, ...limits } = settings();
    const at = clock.now();
    const body = task === null ? null : JSON.stringify(webhookBody(id, task.value));
    const span = task === null ? null : beginWebhookSpan(tracer, task);
    const { status, error } =
      body === null
        ? { status: null, error: "the task was deleted" }
        : await this.#client.post(url, body, { ...(await this.#headers(id, body)), ...span?.headers }, limits);
    endWebhookSpan(span, { status, error });
    if (body !== null) this.#options.sent(error === null);
    // Its connection was closed with the daemon, which says nothing about the receiver.
    if (this.#state === "stopped" && error !== null) return;
    const number = attempts.length + 1;
    const isLast = error !== null && (number > retries || body === null);
    const now = clock.now();
    log[error === null ? "info" : "warn"]({ task: id, attempt: number, status, error, isLast }, "webhook");
    await deliveries.update(id, (delivery) => ({
      ...delivery,
      state: error === null ? "delivered" : isLast ? "failed" : "waiting",
      dueAt: error === null || isLast ? null : now + retryDelayMs(number),
      attempts: [...delivery.attempts, { at, durationMs: now - at, status, error }],
    }));
  }

  async #headers(id: string, body: string): Promise<Record<string, string>> {
    const timestampS = Math.floor(this.#options.clock.now() / 1000);
    return {
      ...signedHeaders(await this.secret(), id, timestampS, body),
      "user-agent": `assistant/${version}`,
    };
  }

  #lookAt(dueAt: number): void {
    if (dueAt >= this.#dueAt || this.#state !== "running") return;
    const { clock } = this.#options;
    this.#dueAt = dueAt;
    this.#timer?.[Symbol.dispose]();
    this.#timer = clock.after(Math.max(0, Math.min(MAX_WAIT_MS, dueAt - clock.now())), () => {
      this.#dueAt = Number.POSITIVE_INFINITY;
      this.look();
    });
  }
}
