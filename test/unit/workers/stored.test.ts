import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import type { WorkerRegistration } from "../../../src/core/worker.ts";
import { SqliteStore } from "../../../src/store/sqlite/store.ts";
import { StoredWorkers } from "../../../src/workers/stored.ts";

test("two daemons of one host that share a store have each their own registrations, the same ones too", async () => {
  const directory = await mkdtemp(join(tmpdir(), "assistant-workers-"));
  const store = new SqliteStore({ directory, report: () => {} });
  const [one, other] = [new StoredWorkers(store, "one"), new StoredWorkers(store, "other")];
  const registration = { name: "helper", endpoint: "http://127.0.0.1:9/chat" } as WorkerRegistration;
  await one.add(registration);
  await other.add(registration);
  await one.remove([registration]);
  expect([await one.all(), await other.all()]).toEqual([[], [registration]]);
  await store.close();
  await rm(directory, { recursive: true });
});
