import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { TaskStats } from "../../../src/monitor/task-stats.ts";
import { SqliteStore } from "../../../src/store/sqlite/store.ts";
import { FakeClock } from "../../support/fake-clock.ts";

let directory: string;
let store: SqliteStore;
let clock: FakeClock;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "assistant-stats-"));
  store = new SqliteStore({ directory, report: () => {} });
  clock = new FakeClock();
  clock.time = Date.parse("2026-03-01T23:59:59Z");
});
afterEach(async () => {
  await store.close();
  await rm(directory, { recursive: true, force: true });
});

const make = (failed: (error: unknown) => void = () => {}): TaskStats => new TaskStats({ store, clock, failed });

test("tasks are counted by day, by all daemons that share the store, and over restarts", async () => {
  const stats = make();
  const other = make();
  stats.note({ completed: 1, tokens: 10, durationMs: 100 });
  other.note({ failed: 1 });
  await Promise.all([stats.save(), other.save()]);
  clock.advance(2_000);
  stats.note({ completed: 1, tokens: 5, durationMs: 50 });
  clock.advance(1_000);
  await stats.save();
  expect(await make().of("2026-03-01")).toEqual({ completed: 1, failed: 1, tokens: 10, durationMs: 100 });
  expect(await make().of("2026-03-02")).toEqual({ completed: 1, failed: 0, tokens: 5, durationMs: 50 });
  expect(await make().of("2026-03-03")).toEqual({ completed: 0, failed: 0, tokens: 0, durationMs: 0 });
});

test("what the store does not take is counted when it does", async () => {
  const problems: unknown[] = [];
  const { commit } = store;
  const stats = make((problem) => problems.push(problem));
  store.commit = () => Promise.reject(new Error("full"));
  stats.note({ completed: 1 });
  await stats.save();
  stats.note({ completed: 1 });
  store.commit = commit;
  clock.advance(10_000);
  await stats.save();
  expect([problems.length, await make().of("2026-03-01")]).toMatchObject([1, { completed: 2 }]);
});
