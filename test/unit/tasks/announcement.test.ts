import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { SqliteStore } from "../../../src/store/sqlite/store.ts";
import { type TaskChange, TaskLedger } from "../../../src/tasks/ledger.ts";
import type { TaskOrder } from "../../../src/tasks/record.ts";

const order: TaskOrder = {
  ...{ model: "river", fallbacks: [], request: {}, schema: null, repair: false, priority: 0, runAt: null },
  ...{ maxAttempts: 1, webhookUrl: null, idempotencyKey: "once" },
};
const origin = { tenant: "anna", traceId: "trace", trace: null };

test("a task whose announcement fails after it was stored is not kept, and its key is free again", async () => {
  const directory = await mkdtemp(join(tmpdir(), "assistant-ledger-"));
  const store = new SqliteStore({ directory, report: () => {} });
  try {
    const changes: TaskChange[] = [];
    let isReachable = false;
    const ledger = new TaskLedger({
      store,
      retentionMs: () => 1_000,
      now: () => Date.now(),
      changed: (change) => void changes.push(change),
      announce: async () => {
        const done = isReachable ? Promise.resolve() : Promise.reject(new Error("gone"));
        done.catch(() => {});
        return { done };
      },
    });
    await expect(ledger.create([order], origin)).rejects.toThrow("gone");
    expect(await ledger.tasks.count()).toBe(0);
    expect(changes).toEqual([]);
    isReachable = true;
    expect(await ledger.create([order], origin)).toMatchObject([{ isReplay: false }]);
    expect(await ledger.tasks.count()).toBe(1);
  } finally {
    await store.close();
    await rm(directory, { recursive: true, force: true });
  }
});

test("a task that was stored without its announcement is announced when it is asked for again", async () => {
  const directory = await mkdtemp(join(tmpdir(), "assistant-ledger-"));
  const store = new SqliteStore({ directory, report: () => {} });
  try {
    const announced: string[][] = [];
    let isReachable = false;
    let commits = 0;
    const ledger = new TaskLedger({
      store: Object.assign(Object.create(store) as SqliteStore, {
        // The store is gone right after the task was written.
        commit: (...writes: Parameters<SqliteStore["commit"]>) =>
          commits++ === 0 || isReachable ? store.commit(...writes) : Promise.reject(new Error("gone")),
        collection: store.collection.bind(store),
      }),
      retentionMs: () => 1_000,
      now: () => Date.now(),
      changed: () => {},
      announce: async (tasks) => {
        announced.push(tasks.map(({ id }) => id));
        const done = isReachable ? Promise.resolve() : Promise.reject(new Error("gone"));
        done.catch(() => {});
        return { done };
      },
    });
    await expect(ledger.create([order], origin)).rejects.toThrow("gone");
    expect(await ledger.tasks.count()).toBe(1);
    isReachable = true;
    const [again] = await ledger.create([order], origin);
    expect(again?.isReplay).toBe(true);
    expect(announced).toEqual([[again?.id], [again?.id]]);
  } finally {
    await store.close();
    await rm(directory, { recursive: true, force: true });
  }
});
