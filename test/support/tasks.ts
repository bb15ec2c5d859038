import type { TaskSettings } from "../../src/core/config.ts";
import type { TaskOrder } from "../../src/tasks/record.ts";

export const taskOrder = (model: string): TaskOrder => ({
  model,
  fallbacks: [],
  request: { messages: [{ role: "user", content: "hello" }] },
  schema: null,
  repair: false,
  priority: 0,
  runAt: null,
  maxAttempts: 1,
  webhookUrl: null,
  idempotencyKey: null,
});

export const taskSettings = (concurrency: number): TaskSettings => ({
  concurrency,
  maxAttempts: 1,
  retentionMs: 60_000,
  maxPending: 5,
  webhooks: { timeoutMs: 1_000, retries: 0, allowPrivate: false, secret: "whsec_AAAA" },
});
