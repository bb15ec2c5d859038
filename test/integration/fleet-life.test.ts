import { access, readdir, readFile } from "node:fs/promises";
import { createServer } from "node:net";
import { join } from "node:path";
import { expect, test } from "vitest";
import type { LaunchPlan } from "../../src/core/engine.ts";
import { AssistantError } from "../../src/core/errors.ts";
import { eventually, isRunning } from "../support/assistant.ts";
import { callEngine, fakeEngine } from "../support/fake-engine.ts";
import { order, startFleet, type TestFleet } from "../support/fleet.ts";

const reaches = (test: TestFleet, state: string, id?: string) =>
  eventually(`${id ?? "the instance"} is ${state}`, () => test.snapshot(id).state === state);

async function ready(test: TestFleet): Promise<number> {
  const before = test.events.length;
  test.fleet.start(order());
  await eventually("the instance is ready or failed", () =>
    test.events.slice(before).some((event) => ["ready", "failed"].includes(event.snapshot.state)),
  );
  expect(test.snapshot()).toMatchObject({ state: "ready" });
  return test.snapshot().pid ?? -1;
}

const exists = (path: string): Promise<boolean> =>
  access(path).then(
    () => true,
    () => false,
  );

test("an instance starts, proves itself by a token, drains, resumes and stops", async () => {
  await using t = await startFleet(fakeEngine({ startDelayMs: 100 }));
  const pid = await ready(t);
  const socket = t.snapshot().endpoint ?? "";
  expect(JSON.parse((await callEngine(socket, "/__record")).text)).toMatchObject({ pid, completed: 1 });
  expect(t.snapshot()).toMatchObject({
    attempts: 0,
    threads: 1,
    slots: 2,
    contextTokens: 4096,
    model: "fake",
    device: "cpu",
  });
  await eventually("memory is known", () => (t.snapshot().memoryBytes ?? 0) > 1_000_000);
  t.fleet.drain("fake@cpu");
  t.fleet.resume("fake@cpu");
  t.fleet.drain("fake@cpu");
  t.fleet.stop("fake@cpu", "idle");
  await reaches(t, "absent");
  expect(await isRunning(pid)).toBe(false);
  expect(await exists(socket)).toBe(false);
  expect(t.steps()).toEqual([
    "absent>starting",
    "starting>ready",
    "ready>draining",
    "draining>ready",
    "ready>draining",
    "draining>stopping",
    "stopping>absent",
  ]);
  expect(t.snapshot().lastDeath).toMatchObject({ cause: "idle", exitCode: null });
  expect(await t.fleet.logTail("fake@cpu", 5)).toContain("cleaning up before exit");
});

test("orders that do not fit the state change nothing", async () => {
  await using t = await startFleet(fakeEngine());
  t.fleet.stop("fake@cpu", "stopped");
  t.fleet.drain("fake@cpu");
  await ready(t);
  t.fleet.start(order());
  t.fleet.resume("fake@cpu");
  t.fleet.stop("fake@cpu", "evicted");
  t.fleet.start(order());
  t.fleet.stop("fake@cpu", "idle");
  await reaches(t, "absent");
  expect(t.steps()).toEqual(["absent>starting", "starting>ready", "ready>stopping", "stopping>absent"]);
  expect(t.snapshot().lastDeath).toMatchObject({ cause: "evicted" });
});

test("an engine that ends at its start fails with its own last complaint, and waits ten seconds", async () => {
  await using t = await startFleet(
    fakeEngine({
      exitAtStart: 3,
      exitText: "loading\nerror: tensor 'blk.0' not found\nmain: exiting due to model loading error",
    }),
  );
  t.fleet.start(order());
  await reaches(t, "failed");
  const { lastDeath, retryAt, pid, attempts } = t.snapshot();
  expect(lastDeath).toMatchObject({ cause: "exit", exitCode: 3, signal: null });
  expect(lastDeath?.message).toContain("error: tensor 'blk.0' not found");
  expect(pid).toBeNull();
  expect(attempts).toBe(1);
  expect((retryAt ?? 0) - (lastDeath?.at ?? 0)).toBe(10_000);
  t.fleet.start(order());
  t.fleet.stop("fake@cpu", "stopped");
  await reaches(t, "absent");
  expect(t.steps()).toEqual(["absent>starting", "starting>failed", "failed>absent"]);
});

test("an operator's restart does not wait for the backoff", async () => {
  await using t = await startFleet(fakeEngine((_plan, attempt) => (attempt === 0 ? { exitAtStart: 1 } : {})));
  t.fleet.start(order());
  await reaches(t, "failed");
  t.fleet.restart("fake@cpu");
  await reaches(t, "ready");
  const first = t.snapshot().pid;
  t.fleet.restart("fake@cpu");
  await eventually("another process is ready", () => t.snapshot().state === "ready" && t.snapshot().pid !== first);
  expect(t.steps().slice(2)).toEqual([
    "failed>starting",
    "starting>ready",
    "ready>stopping",
    "stopping>absent",
    "absent>starting",
    "starting>ready",
  ]);
  expect(() => t.fleet.restart("fkae@cpu")).toThrow(/There is no instance "fkae@cpu".*fake@cpu/);
});

test("an engine that is not ready in time is killed", async () => {
  await using t = await startFleet(fakeEngine({ startDelayMs: 60_000, ignoreSigterm: true }), { startTimeoutMs: 500 });
  t.fleet.start(order());
  const pid = await eventually("it has a process", () => t.snapshot().pid ?? undefined);
  await reaches(t, "failed");
  await eventually("it is gone", async () => !(await isRunning(pid)));
  expect(t.snapshot().lastDeath?.cause).toBe("start-timeout");
  expect(t.steps()).toEqual(["absent>starting", "starting>failed"]);
});

test("health without a token is not ready", async () => {
  await using t = await startFleet(fakeEngine({ failStatus: 500 }));
  t.fleet.start(order());
  await reaches(t, "failed");
  expect(t.snapshot().lastDeath?.cause).toBe("probe-failed");
  expect(t.snapshot().lastDeath?.message).toContain("500");
});

test("a socket that is taken is a start failure with the engine's words", async () => {
  await using t = await startFleet(fakeEngine({ socketTaken: true }));
  t.fleet.start(order());
  await reaches(t, "failed");
  expect(t.snapshot().lastDeath?.message).toContain("couldn't bind HTTP server socket");
});

test("a socket file that a dead engine left does not keep the next one from starting", async () => {
  await using t = await startFleet(fakeEngine());
  await ready(t);
  const socket = t.snapshot().endpoint ?? "";
  t.fleet.stop("fake@cpu", "stopped");
  await reaches(t, "absent");
  // A listener that is closed by force leaves its file behind; an open one stands for that file here.
  const stale = createServer().listen(socket);
  await eventually("the file is there", () => exists(socket));
  t.fleet.start(order());
  await reaches(t, "ready");
  stale.close();
});

test("a crash while serving may be mended at once, a second one soon after may not", async () => {
  await using t = await startFleet(fakeEngine());
  const first = await ready(t);
  process.kill(first, "SIGSEGV");
  await reaches(t, "failed");
  expect(t.snapshot().lastDeath).toMatchObject({ cause: "signal", signal: "SIGSEGV" });
  expect(t.snapshot().retryAt).toBeLessThanOrEqual(Date.now());
  const second = await ready(t);
  expect(second).not.toBe(first);
  process.kill(second, "SIGKILL");
  await reaches(t, "failed");
  expect((t.snapshot().retryAt ?? 0) - (t.snapshot().lastDeath?.at ?? 0)).toBe(10_000);
  expect(t.steps()).toEqual([
    "absent>starting",
    "starting>ready",
    "ready>failed",
    "failed>starting",
    "starting>ready",
    "ready>failed",
  ]);
});

test("an engine that ignores SIGTERM is killed after the grace", async () => {
  await using t = await startFleet(fakeEngine({ ignoreSigterm: true }), { stopGraceMs: 200 });
  const pid = await ready(t);
  t.fleet.stop("fake@cpu", "stopped");
  await reaches(t, "absent");
  expect(await isRunning(pid)).toBe(false);
  expect(await t.fleet.logTail("fake@cpu", 5)).toContain("SIGTERM ignored");
  expect(t.steps().slice(2)).toEqual(["ready>stopping", "stopping>absent"]);
});

test("the second stop hurries", async () => {
  await using t = await startFleet(fakeEngine({ ignoreSigterm: true }));
  const pid = await ready(t);
  const closed = t.fleet.close(3_600_000);
  await reaches(t, "stopping");
  t.fleet.hurry();
  await closed;
  expect(await isRunning(pid)).toBe(false);
  expect(t.snapshot().state).toBe("absent");
});

test("one hung engine does not delay the others", async () => {
  await using t = await startFleet(
    fakeEngine((plan) => ({ ignoreSigterm: plan.instanceId === "a" })),
    { stopGraceMs: 3_600_000 },
  );
  t.fleet.start(order({ instanceId: "a" }));
  t.fleet.start(order({ instanceId: "b" }));
  await reaches(t, "ready", "a");
  await reaches(t, "ready", "b");
  t.fleet.stop("a", "stopped");
  t.fleet.stop("b", "stopped");
  await reaches(t, "absent", "b");
  t.fleet.start(order({ instanceId: "b" }));
  await reaches(t, "ready", "b");
  expect(t.snapshot("a").state).toBe("stopping");
  t.fleet.hurry();
  await reaches(t, "absent", "a");
});

test("a grandchild that holds the engine's output open ends with it", async () => {
  await using t = await startFleet(fakeEngine({ holdPipe: true }));
  const pid = await ready(t);
  const children = (await readFile(`/proc/${pid}/task/${pid}/children`, "utf8")).trim().split(" ").map(Number);
  expect(children).toHaveLength(2);
  process.kill(pid, "SIGKILL");
  await reaches(t, "failed");
  for (const child of children) await eventually(`${child} is gone`, async () => !(await isRunning(child)));
});

test("an instance that is stopped before it was spawned spawns nothing", async () => {
  let release = (): void => {};
  const held = new Promise<string>((resolve) => {
    release = () => resolve("/nowhere/fake.gguf");
  });
  let launches = 0;
  const engine = fakeEngine(() => {
    launches++;
    return {};
  });
  await using t = await startFleet(engine, {}, { resolveWeights: () => held });
  t.fleet.start(order());
  await reaches(t, "starting");
  t.fleet.stop("fake@cpu", "stopped");
  await reaches(t, "absent");
  release();
  await t.fleet.close(0);
  expect(t.steps()).toEqual(["absent>starting", "starting>stopping", "stopping>absent"]);
  expect(t.snapshot().pid).toBeNull();
  expect(launches).toBeLessThanOrEqual(1);
});

test("missing weights fail with their own error and may be tried again after a second", async () => {
  const missing = new AssistantError("model_not_pulled", "The file of model fake is not on this machine.", {
    remedy: "Run `assistant pull fake`.",
  });
  await using t = await startFleet(fakeEngine(), {}, { resolveWeights: () => Promise.reject(missing) });
  t.fleet.start(order());
  await reaches(t, "failed");
  const { lastDeath, retryAt } = t.snapshot();
  expect(lastDeath).toMatchObject({ cause: "spawn-error", error: "model_not_pulled" });
  expect(lastDeath?.message).toContain("assistant pull fake");
  expect((retryAt ?? 0) - (lastDeath?.at ?? 0)).toBe(1_000);
});

test("an engine that is not on this machine is said with what to do", async () => {
  const engine = {
    ...fakeEngine(),
    availability: async () => ({
      available: false as const,
      reason: "No llama-server was found.",
      remedy: "Build one.",
    }),
  };
  await using t = await startFleet(engine);
  t.fleet.start(order());
  await reaches(t, "failed");
  expect(t.snapshot().lastDeath).toMatchObject({
    error: "engine_unavailable",
    message: "No llama-server was found. Build one.",
  });
});

test("a program that does not exist is a spawn error that names it", async () => {
  const engine = { ...fakeEngine(), launch: () => ({ command: "/nowhere/llama-server", args: [], env: {} }) };
  await using t = await startFleet(engine);
  t.fleet.start(order());
  await reaches(t, "failed");
  expect(t.snapshot().lastDeath?.cause).toBe("spawn-error");
  expect(t.snapshot().lastDeath?.message).toContain("/nowhere/llama-server");
});

test("an engine sees its device's environment and none of the daemon's secrets", async () => {
  const engine = {
    ...fakeEngine(),
    launch: () => ({ command: "/bin/sh", args: ["-c", "env; ls /proc/self/fd; exit 1"], env: { FROM_SPEC: "1" } }),
  };
  await using t = await startFleet(engine);
  process.env["A_SECRET"] = "hush";
  t.fleet.start(order({ device: { ...order().device, env: { CUDA_VISIBLE_DEVICES: "GPU-1" } } }));
  await reaches(t, "failed");
  delete process.env["A_SECRET"];
  const log = await t.fleet.logTail("fake@cpu", 50);
  expect(log).toContain("CUDA_VISIBLE_DEVICES=GPU-1");
  expect(log).toContain("FROM_SPEC=1");
  expect(log).not.toContain("hush");
});

test("the run record lists what runs, and nothing once all is stopped", async () => {
  await using t = await startFleet(fakeEngine());
  const pid = await ready(t);
  const file = join(t.dir, "engines.json");
  await eventually("the record is written", () => exists(file));
  expect(JSON.parse(await readFile(file, "utf8"))).toMatchObject([{ instanceId: "fake@cpu", pid }]);
  await t.fleet.close();
  await eventually("the record is gone", async () => !(await exists(file)));
});

test("an engine's file says how many threads it may use: its own at each start, then as many as it is lent", async () => {
  const plans: LaunchPlan[] = [];
  const engine = fakeEngine((plan) => {
    plans.push(plan);
    return {};
  });
  await using t = await startFleet(engine);
  const threads = async (): Promise<number> => {
    const [file = ""] = (await readdir(t.dir)).filter((name) => name.endsWith(".threads"));
    return Number(await readFile(join(t.dir, file), "utf8"));
  };
  t.fleet.start({ ...order(), mostThreads: 12 });
  await reaches(t, "ready");
  expect(plans[0]).toMatchObject({ threads: 1, lending: { mostThreads: 12 } });
  expect(Number(await readFile(plans[0]?.lending?.file ?? "", "utf8"))).toBe(1);
  t.fleet.lend("fake@cpu", 12);
  expect(await threads()).toBe(12);
  t.fleet.lend("fake@cpu", 3);
  expect(await threads()).toBe(3);
  t.fleet.restart("fake@cpu");
  await eventually("it is up again", () => t.steps().filter((step) => step === "starting>ready").length === 2);
  expect(await threads()).toBe(1);
  t.fleet.stop("fake@cpu", "idle");
  await reaches(t, "absent");
  expect((await readdir(t.dir)).filter((name) => name.endsWith(".threads"))).toEqual([]);
  // An order that comes too late changes nothing.
  t.fleet.lend("fake@cpu", 3);
  expect(t.warnings).toEqual([]);
});
