import { expect, test } from "vitest";
import { type EngineProcess, type Exit, spawnEngine } from "../../src/fleet/engine-process.ts";
import { eventually } from "../support/assistant.ts";
import { fakeEngine } from "../support/fake-engine.ts";
import { order, startFleet, type TestFleet } from "../support/fleet.ts";

/**
 * A real engine of which nobody hears that it ended, as when it is stuck in a driver; `release` lets the news through.
 */
function stuckSpawner(): { spawn: typeof spawnEngine; spawned: EngineProcess[]; release: () => void } {
  let release = (): void => {};
  const held = new Promise<void>((resolve) => {
    release = resolve;
  });
  const spawned: EngineProcess[] = [];
  return {
    spawned,
    release: () => release(),
    spawn: (spec, logFile, env) => {
      const real = spawnEngine(spec, logFile, env);
      const exited: Promise<Exit> = real.exited.then(async (exit) => {
        await held;
        return exit;
      });
      const process: EngineProcess = { ...real, exited };
      spawned.push(process);
      return process;
    },
  };
}

const reaches = (t: TestFleet, state: string) => eventually(state, () => t.snapshot().state === state);

test("an engine that not even SIGKILL ends is not waited for for ever", async () => {
  const stuck = stuckSpawner();
  await using t = await startFleet(fakeEngine(), { stopGraceMs: 50, killWaitMs: 200 }, { spawn: stuck.spawn });
  t.fleet.start(order());
  await reaches(t, "ready");
  t.fleet.stop("fake@cpu", "idle");
  await reaches(t, "failed");
  expect(t.steps().slice(2)).toEqual(["ready>stopping", "stopping>failed"]);
  expect(t.snapshot().lastDeath?.message).toMatch(/did not exit after SIGKILL/);
  expect(t.snapshot().pid).toBe(stuck.spawned[0]?.pid);
  expect(t.snapshot().retryAt).toBeGreaterThan(Date.now());
});

test("a new start waits until the old process is gone", async () => {
  const stuck = stuckSpawner();
  await using t = await startFleet(fakeEngine(), { stopGraceMs: 50, killWaitMs: 100 }, { spawn: stuck.spawn });
  t.fleet.start(order());
  await reaches(t, "ready");
  t.fleet.stop("fake@cpu", "idle");
  await reaches(t, "failed");
  t.fleet.restart("fake@cpu");
  await reaches(t, "starting");
  expect(stuck.spawned).toHaveLength(1);
  stuck.release();
  await reaches(t, "ready");
  expect(stuck.spawned).toHaveLength(2);
  expect(t.snapshot().pid).toBe(stuck.spawned[1]?.pid);
});

test("closing gives up what cannot be ended", async () => {
  const stuck = stuckSpawner();
  await using t = await startFleet(fakeEngine(), { killWaitMs: 100 }, { spawn: stuck.spawn });
  t.fleet.start(order());
  await reaches(t, "ready");
  await t.fleet.close(50);
  expect(t.snapshot().state).toBe("failed");
  expect(t.warnings.join("\n")).toContain("did not exit after SIGKILL");
});

test("a stop of a failed instance whose process lingers ends as absent once it is gone", async () => {
  const stuck = stuckSpawner();
  await using t = await startFleet(
    fakeEngine({ startDelayMs: 60_000 }),
    { startTimeoutMs: 300 },
    { spawn: stuck.spawn },
  );
  t.fleet.start(order());
  await reaches(t, "failed");
  t.fleet.stop("fake@cpu", "reload");
  await reaches(t, "stopping");
  stuck.release();
  await reaches(t, "absent");
  expect(t.steps()).toEqual(["absent>starting", "starting>failed", "failed>stopping", "stopping>absent"]);
});
