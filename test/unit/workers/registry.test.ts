import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
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
