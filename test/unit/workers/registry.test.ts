import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import type { RemoteDelta } from "../../../src/core/remote.ts";
import { SqliteStore } from "../../../src/store/sqlite/store.ts";
import { Workers } from "../../../src/workers/registry.ts";
import { FakeClock } from "../../support/fake-clock.ts";

test("a model has the places of all its workers, and is lost with the last", async () => {
  const directory = await mkdtemp(join(tmpdir(), "assistant-workers-"));
  const store = new SqliteStore({ directory, report: () => {} });
  const log = { info: () => {}, warn: () => {} };
  const workers = new Workers({ store, installation: "test", clock: new FakeClock(), log, isTaken: () => false });
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
  await store.close();
  await rm(directory, { recursive: true });
});

test("a place that a tenant has reserved is no other's to use, give back or abort", async () => {
  const directory = await mkdtemp(join(tmpdir(), "assistant-workers-"));
  const store = new SqliteStore({ directory, report: () => {} });
  onTestFinished(async () => {
    await store.close();
    await rm(directory, { recursive: true });
  });
  const log = { info: () => {}, warn: () => {} };
  const workers = new Workers({ store, installation: "test", clock: new FakeClock(), log, isTaken: () => false });
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
