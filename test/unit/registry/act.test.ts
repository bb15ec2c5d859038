import { expect, test } from "vitest";
import type { DaemonStatus } from "../../../src/api/status.ts";
import { actOn } from "../../../src/registry/act.ts";
import { fakeInstance, fakeModel, fakeStatus } from "../../fakes/status.ts";

/** A daemon that is in one state after the other, and stays in the last. */
const daemon = (...states: DaemonStatus[]) => ({
  status: async () => (states.length > 1 ? (states.shift() as DaemonStatus) : (states[0] as DaemonStatus)),
  act: async () => {},
});
const lake = (coming: boolean, ...instances: Parameters<typeof fakeInstance>[0][]): DaemonStatus =>
  fakeStatus({
    models: [fakeModel({ name: "lake", coming, error: null })],
    instances: instances.map((fields) => fakeInstance({ model: "lake", lastDeath: null, ...fields })),
  });

test("a load is done when an instance is ready, however long nothing but a plan is there", async () => {
  const planned = Array.from({ length: 6 }, () => lake(true));
  const instances = await actOn(
    daemon(lake(false), ...planned, lake(true, { state: "ready", pid: 7 })),
    "lake",
    "load",
  );
  expect(instances.map(({ pid }) => pid)).toEqual([7]);
});

test("a load that another request undoes ends with an error instead of never", async () => {
  const starting = lake(true, { state: "starting", pid: 7 });
  await expect(actOn(daemon(lake(false), starting, lake(false)), "lake", "load")).rejects.toMatchObject({
    code: "model_failed",
    message: "lake was unloaded by another request while it was loading.",
  });
});

test("an unload is done when what ran has gone, though requests have started the model again", async () => {
  const [old, next] = [lake(true, { state: "stopping", pid: 7 }), lake(true, { state: "starting", pid: 8 })];
  const instances = await actOn(daemon(lake(true, { state: "ready", pid: 7 }), old, next), "lake", "unload");
  expect(instances.map(({ pid }) => pid)).toEqual([8]);
});
