import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import type { RemoteDelta } from "../../../src/core/remote.ts";
import type { CollectionSpec, Store, Write } from "../../../src/core/store.ts";
import { SqliteStore } from "../../../src/store/sqlite/store.ts";
import { Workers } from "../../../src/workers/registry.ts";
import { StoredWorkers } from "../../../src/workers/stored.ts";
import { FakeClock } from "../../support/fake-clock.ts";

const echo = { name: "echo", protocol: "form", slots: 1, capabilities: {} } as const;
const workersOf = (store: Store): Workers =>
  new Workers({
    store,
    installation: "test",
    clock: new FakeClock(),
    log: { info: () => {}, warn: () => {} },
    isTaken: () => false,
  });
async function openStore(): Promise<SqliteStore> {
  const directory = await mkdtemp(join(tmpdir(), "assistant-workers-"));
  const store = new SqliteStore({ directory, report: () => {} });
  onTestFinished(async () => {
    await store.close();
    await rm(directory, { recursive: true });
  });
  return store;
}

test("a model has the places of all its workers, and is lost with the last", async () => {
  const workers = workersOf(await openStore());
  const deltas: RemoteDelta[] = [];
  workers.onChange = (delta) => deltas.push(delta);
  const register = (port: number, slots: number): Promise<void> =>
    workers.register({
      name: "echo",
      endpoint: `http://127.0.0.1:${port}/`,
      protocol: "form",
      slots,
      capabilities: {},
    });
  await register(1, 1);
  await register(2, 4);
  await workers.unregister("echo", "http://127.0.0.1:1/");
  await workers.unregister("echo", "http://127.0.0.1:2/");
  expect(
    deltas.map(({ models, gone, lostModels }) => [models.map(({ load }) => load.slots), gone, lostModels]),
  ).toEqual([
    [[1], [], []],
    [[5], [], []],
    [[4], ["http://127.0.0.1:1/"], []],
    [[], ["http://127.0.0.1:2/"], ["echo"]],
  ]);
});

test("a place that a tenant has reserved is no other's to use, give back or abort", async () => {
  const workers = workersOf(await openStore());
  const endpoint = "http://127.0.0.1:1/";
  await workers.register({ name: "echo", endpoint, protocol: "form", slots: 1, capabilities: {} });
  const chat = { name: "echo", historyId: 7, userId: 1 };
  const asked = { historyId: "7", userId: null };
  expect(workers.schedule({ ...chat, tenant: "anna" })).toBe("reserved");
  expect(workers.schedule({ ...chat, tenant: "ben" })).toBe("busy");
  expect(workers.reservationOf({ ...chat, tenant: "ben" })).toBeNull();
  workers.revoke("echo", { ...asked, owner: "ben" });
  expect(await workers.abort([{ ...asked, owner: "ben" }])).toBe(0);
  expect(workers.reservationOf({ ...chat, tenant: "anna" })).not.toBeNull();
  workers.revoke("echo", { ...asked, owner: null });
  expect(workers.reservationOf({ ...chat, tenant: "anna" })).toBeNull();
});

/** A worker that is asked how it is, and answers when the test says so. */
async function silentWorker(): Promise<{ endpoint: string; asked: Promise<void>; answer: (status: number) => void }> {
  const asked = Promise.withResolvers<void>();
  const answered = Promise.withResolvers<number>();
  const server = createServer(async (_, response) => {
    asked.resolve();
    response.writeHead(await answered.promise).end();
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(() => void server.close());
  const { port } = server.address() as AddressInfo;
  return { endpoint: `http://127.0.0.1:${port}/`, asked: asked.promise, answer: answered.resolve };
}

test("a worker that unregisters while it is asked how it is after a restart stays away", async () => {
  const store = await openStore();
  const { endpoint, asked, answer } = await silentWorker();
  await workersOf(store).register({ ...echo, endpoint });
  const workers = workersOf(store);
  const started = workers.start();
  await asked;
  await workers.unregister("echo", endpoint);
  answer(200);
  await started;
  expect([workers.list(), await new StoredWorkers(store, "test").all()]).toEqual([[], []]);
});

test("a worker that registers anew while it is found unwell after a restart is kept", async () => {
  const store = await openStore();
  const { endpoint, asked, answer } = await silentWorker();
  await workersOf(store).register({ ...echo, endpoint });
  const known = Promise.withResolvers<void>();
  const slow = {
    collection: (spec: CollectionSpec<object>) => store.collection(spec),
    commit: async (writes: readonly Write[]) => {
      const done = await store.commit(writes);
      if (writes[0]?.op === "put") await known.promise;
      return done;
    },
  } as unknown as Store;
  const workers = workersOf(slow);
  const started = workers.start();
  await asked;
  const registered = workers.register({ ...echo, endpoint });
  answer(500);
  await started;
  known.resolve();
  await registered;
  expect([workers.names(), await new StoredWorkers(store, "test").all()]).toMatchObject([["echo"], [{ endpoint }]]);
});
