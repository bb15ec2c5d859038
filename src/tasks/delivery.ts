import type { CollectionSpec } from "../core/store.ts";

interface DeliveryAttempt {
  /** Epoch milliseconds. */
  readonly at: number;
  readonly durationMs: number;
  /** HTTP status of the response; null: there was none. */
  readonly status: number | null;
  /** Why it failed; null: it did not. */
  readonly error: string | null;
}

/** A task's webhook, created when the task ends, under the task's id. */
export interface DeliveryRecord {
  readonly url: string;
  readonly state: "waiting" | "delivered" | "failed";
  /** Epoch milliseconds of the next attempt, while it waits. */
  readonly dueAt: number | null;
  readonly attempts: readonly DeliveryAttempt[];
}

export const deliveryCollection: CollectionSpec<DeliveryRecord> = {
  name: "webhook_deliveries",
  indexes: { due: ["dueAt"] },
};

export const newDelivery = (url: string, now: number): DeliveryRecord => ({
  url,
  state: "waiting",
  dueAt: now,
  attempts: [],
});
