import { createHash } from "node:crypto";
import { AssistantError } from "../core/errors.ts";
import { newTaskId } from "../core/ids.ts";
import type { Collection, ListQuery, Page, Store, StoredRecord, Write } from "../core/store.ts";
import { type DeliveryRecord, deliveryCollection, newDelivery } from "./delivery.ts";
import type { Dispatcher } from "./dispatcher.ts";
import {
  type IdempotencyRecord,
  idempotencyCollection,
  isEnded,
  newTask,
  type TaskOrder,
  type TaskOrigin,
  type TaskRecord,
  taskCollection,
} from "./record.ts";

export type StoredTask = StoredRecord<TaskRecord>;

/** How long an idempotency key refers to its task. */
const KEY_TTL_MS = 86_400_000;

export interface LedgerOptions {
  readonly store: Pick<Store, "collection" | "commit">;
  readonly retentionMs: () => number;
  readonly now: () => number;
  /** Called before new tasks are stored; none is stored if it rejects. */
  readonly announce: Dispatcher["announce"];
  /** Called for every stored change. */
  readonly changed: (change: TaskChange) => void;
}

export interface TaskChange {
  readonly id: string;
  readonly tenant: string;
  /** Null: it is new. */
  readonly before: TaskRecord | null;
  /** Null: it was deleted. */
  readonly after: TaskRecord | null;
}

export interface Created {
  readonly id: string;
  readonly task: TaskRecord;
  /** A task with its key already existed. */
  readonly isReplay: boolean;
}

/** Tasks in the store. Every change goes through here, expects the task's revision, and includes its webhook. */
export class TaskLedger {
  readonly tasks: Pick<Collection<TaskRecord>, "get" | "list" | "count">;
  readonly deliveries: Collection<DeliveryRecord>;
  readonly #tasks: Collection<TaskRecord>;
  readonly #keys: Collection<IdempotencyRecord>;
  readonly #options: LedgerOptions;

  constructor(options: LedgerOptions) {
    this.#options = options;
    this.#tasks = options.store.collection(taskCollection);
    this.tasks = this.#tasks;
    this.deliveries = options.store.collection(deliveryCollection);
    this.#keys = options.store.collection(idempotencyCollection);
  }

  /** Stores all of the orders, or none. They are durable when this resolves. `id`: for a single one. */
  async create(
    orders: readonly TaskOrder[],
    { tenant, id: given, ...origin }: TaskOrigin & { readonly tenant: string; readonly id?: string },
  ): Promise<readonly Created[]> {
    const now = this.#options.now();
    const candidates = orders.map((order) => ({
      id: given ?? newTaskId(),
      keyId: order.idempotencyKey === null ? null : keyIdOf(tenant, order.idempotencyKey),
      task: newTask(order, { ...origin, now }),
    }));
    for (;;) {
      const known = await this.#known(candidates.flatMap(({ keyId }) => keyId ?? []));
      const writes: Write[] = [];
      const created = new Map<string, Created>();
      const result = candidates.map(({ id, keyId, task }): Created => {
        const existing = keyId === null ? undefined : (known.get(keyId)?.existing ?? created.get(keyId));
        if (existing !== undefined && existing !== null) return { ...existing, isReplay: true };
        writes.push(this.#tasks.put(id, task, { tenant, expect: 0 }));
        const made = { id, task, isReplay: false };
        if (keyId !== null) {
          created.set(keyId, made);
          const expect = known.get(keyId)?.revision ?? 0;
          writes.push(this.#keys.put(keyId, { taskId: id }, { tenant, expiresAt: now + KEY_TTL_MS, expect }));
        }
        return made;
      });
      const fresh = result.filter(({ isReplay }) => !isReplay);
      // If the announcement was lost with the store, and the record could not be removed again, it is found by its key.
      const waiting = result.filter(({ isReplay, task }) => isReplay && task.status === "pending");
      const { done } = await this.#options.announce(
        [...fresh, ...waiting].map(({ id, task }) => ({ id, order: task })),
      );
      const commit = writes.length === 0 ? null : await this.#options.store.commit(writes);
      // Another request with one of the keys was faster: check again.
      if (commit?.ok === false) continue;
      await done.catch(async (error: unknown) => {
        // Otherwise they would never be started.
        await this.#options.store.commit(writes.map(undone)).catch(() => {});
        throw error;
      });
      for (const { id, task, isReplay } of result)
        if (!isReplay) this.#options.changed({ id, tenant, before: null, after: task });
      return result;
    }
  }

  /**
   * Stores the changed task, unless it has changed since it was read. Resolves with it, or with null. `also`: writes of
   * the same commit, recreated if what they expect has changed meanwhile.
   */
  async replace(
    before: StoredTask,
    task: TaskRecord,
    also: () => Promise<readonly Write[]> = async () => [],
  ): Promise<StoredTask | null> {
    const { id, tenant, revision } = before;
    const hasEnded = isEnded(task.status);
    const expiresAt = hasEnded ? this.#options.now() + this.#options.retentionMs() : null;
    const writes: Write[] = [this.#tasks.put(id, task, { tenant, expiresAt, expect: revision, beyondLimits: true })];
    if (hasEnded && task.webhookUrl !== null)
      writes.push(
        this.deliveries.put(id, newDelivery(task.webhookUrl, this.#options.now()), { tenant, expiresAt, expect: 0 }),
      );
    for (;;) {
      const commit = await this.#options.store.commit([...writes, ...(await also())]);
      if (commit.ok) break;
      if (commit.failed < writes.length) return null;
    }
    this.#options.changed({ id, tenant, before: before.value, after: task });
    return { ...before, value: task, revision: revision + 1, expiresAt };
  }

  /** The same for a task that others may change meanwhile: `change` receives its current state, and may throw. */
  async change(id: string, change: (record: StoredTask) => TaskRecord): Promise<StoredTask> {
    for (;;) {
      const record = await this.tasks.get(id);
      if (record === null) throw taskNotFound(id);
      const changed = await this.replace(record, change(record));
      if (changed !== null) return changed;
    }
  }

  /**
   * Deletes a task that has ended, with everything stored for it. Resolves with whether it was unchanged since it was
   * read.
   */
  async remove({ id, tenant, revision, value: task }: StoredTask): Promise<boolean> {
    const writes = [this.#tasks.remove(id, revision), this.deliveries.remove(id)];
    const keyId = task.idempotencyKey === null ? null : keyIdOf(tenant, task.idempotencyKey);
    const key = keyId === null ? null : await this.#keys.get(keyId);
    // After a day, the key may be another task's.
    if (key?.value.taskId === id) writes.push(this.#keys.remove(key.id, key.revision));
    const { ok } = await this.#options.store.commit(writes);
    if (ok) this.#options.changed({ id, tenant, before: task, after: null });
    return ok;
  }

  /** A page of the index. */
  list(query: ListQuery<TaskRecord>): Promise<Page<TaskRecord>> {
    return this.tasks.list(query);
  }

  /** The task of each key now. A key whose task no longer exists refers to none. */
  async #known(
    keyIds: readonly string[],
  ): Promise<Map<string, { readonly revision: number; readonly existing: Created | null }>> {
    const found = await Promise.all(
      keyIds.map(async (keyId) => {
        const key = await this.#keys.get(keyId);
        const task = key === null ? null : await this.tasks.get(key.value.taskId);
        const existing = task === null ? null : { id: task.id, task: task.value, isReplay: true };
        return [keyId, { revision: key?.revision ?? 0, existing }] as const;
      }),
    );
    return new Map(found);
  }
}

/** For a record created a moment ago. */
const undone = ({ collection, id }: Write): Write => ({ op: "remove", collection, id, expect: null });

const keyIdOf = (tenant: string, key: string): string =>
  createHash("sha256")
    .update(JSON.stringify([tenant, key]))
    .digest("hex");

export const taskNotFound = (id: string): AssistantError =>
  new AssistantError("task_not_found", `There is no task ${JSON.stringify(id.slice(0, 100))}.`, {
    param: "task_id",
    remedy: "`assistant task list` shows the tasks; they are deleted some time after their end.",
  });
