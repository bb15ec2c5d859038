import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Readable } from "node:stream";
import { expect, onTestFinished, test } from "vitest";
import { Cancellation } from "../../../src/core/cancellation.ts";
import { systemClock } from "../../../src/core/clock.ts";
import type { AnswerSink } from "../../../src/core/inference.ts";
import type { CollectionSpec } from "../../../src/core/store.ts";
import { Batches, type BatchesOptions, type NewBatch } from "../../../src/gateway/doors/openai/batches/batches.ts";
import { batchCollection, type StoredBatch } from "../../../src/gateway/doors/openai/batches/record.ts";
import { SqliteStore } from "../../../src/store/sqlite/store.ts";

const ID = "batch_1";
const CHAT = "/v1/chat/completions";
const line = { custom_id: "a", method: "POST", url: CHAT, body: { model: "river" } };

const batch = {
  ...{ endpoint: CHAT, inputFileId: "file", model: "river", status: "in_progress", since: {} },
  ...{ errors: null, deadlineAt: Date.now() + 60_000, counts: { total: 1, completed: 0, failed: 0 } },
} as unknown as StoredBatch;

async function openStore(): Promise<SqliteStore> {
  const directory = await mkdtemp(join(tmpdir(), "assistant-batches-"));
  const store = new SqliteStore({ directory, report: () => {} });
  onTestFinished(async () => {
    await store.close();
    await rm(directory, { recursive: true });
  });
  return store;
}

test("a batch whose task is not stored yet waits for it", async () => {
  const store = await openStore();
  const records = store.collection(batchCollection);
  await store.commit([records.put(ID, batch, { tenant: "ann" })]);
  let passedMs = 0;
  const clock = { ...systemClock, now: () => Date.now() + passedMs };
  const batches = new Batches({ store, clock, tasks: { find: async () => null } } as unknown as BatchesOptions);
  const listed = async () => (await batches.list("ann", { limit: 1, after: null })).batches[0]?.value;
  expect(await listed()).toMatchObject({ status: "in_progress", errors: null });
  passedMs = 120_000;
  expect(await listed()).toMatchObject({ status: "failed", errors: [{ code: "internal" }] });
});

test("a batch whose task is refused is not stored", async () => {
  const store = await openStore();
  const content = async () => ({ content: { stream: Readable.from([Buffer.from(JSON.stringify(line))]) } });
  const batches = new Batches({
    ...{ store, clock: systemClock, directory: { find: () => undefined }, maxLineBytes: () => 1_000 },
    files: { get: async () => ({ value: { purpose: "batch" } }), content },
    tasks: { enqueue: () => Promise.reject(new Error("too many wait")) },
  } as unknown as BatchesOptions);
  const order = { endpoint: CHAT, inputFileId: "file", windowMs: 60_000 } as unknown as NewBatch;
  await expect(batches.create("ann", order)).rejects.toThrow("too many wait");
  expect(await store.collection(batchCollection).count()).toBe(0);
});

test("a batch that another daemon cancels while it is read here is cancelled", async () => {
  const store = await openStore();
  const records = store.collection(batchCollection);
  await store.commit([records.put(ID, batch, { tenant: "ann" })]);
  let report: (ids: readonly string[]) => void = () => {};
  let reads = 0;
  /** As it is just before the other daemon's change, whose notification comes before this answer. */
  const read = async (id: string) => {
    const found = await records.get(id);
    if (++reads > 1) return found;
    await records.update(id, (value) => ({ ...value, status: "cancelling" }));
    report([id]);
    return found;
  };
  const batches = new Batches({
    store: {
      commit: (writes: Parameters<typeof store.commit>[0]) => store.commit(writes),
      collection: (spec: CollectionSpec<object>) => {
        const all = store.collection(spec);
        return spec.name !== batchCollection.name
          ? all
          : { get: read, put: (...args: Parameters<typeof all.put>) => all.put(...args) };
      },
      watch: (_name: string, changed: typeof report) => {
        report = changed;
        return { [Symbol.dispose]: () => {} };
      },
    },
    files: { content: async () => ({ content: { stream: Readable.from([Buffer.from(JSON.stringify(line))]) } }) },
    tasks: { concurrency: () => 1, settings: { maxAttempts: 1 } },
    inference: {
      run: async (_call: unknown, sink: AnswerSink) => {
        sink.head(200, []);
        sink.end(Buffer.from("{}"));
      },
    },
    directory: { find: () => undefined },
    authorizer: { tenantIdentity: (tenant: string) => ({ caller: { tenant, models: null } }), admit: () => null },
    routes: [{ path: CHAT, name: CHAT, operation: "chat", wire: "openai.chat", decode: () => ({ model: "river" }) }],
    maxLineBytes: () => 1_000,
    clock: systemClock,
    log: { debug: () => {} },
  } as unknown as BatchesOptions);
  const job = { id: ID, tenant: "ann", request: {}, cancellation: new Cancellation() };
  const { text } = await batches.run({ ...job, stopping: new AbortController().signal });
  expect(text).toBe("cancelled: 0 of 1 requests answered");
});
