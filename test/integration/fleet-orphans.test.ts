import { type ChildProcess, spawn } from "node:child_process";
import { access, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { afterEach, beforeEach, expect, test } from "vitest";
import { processStartTime } from "../../src/core/process.ts";
import { spawnEngine } from "../../src/fleet/engine-process.ts";
import { sweepLeftovers } from "../../src/fleet/run-record.ts";
import { eventually, isRunning, packageRoot } from "../support/assistant.ts";
import type { Knobs } from "../support/fake-engine.ts";
import { documentsIn } from "../support/store.ts";

let dir = "";
const started: ChildProcess[] = [];

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), "fleet-"));
});

afterEach(async () => {
  for (const child of started.splice(0)) child.kill("SIGKILL");
  await rm(dir, { recursive: true, force: true, maxRetries: 3 });
});

interface ReadyLine {
  readonly id: string;
  readonly pid: number;
  readonly socketPath: string;
}

/** A parent process whose fleet has brought `ids` up. */
async function parentWith(
  ids: readonly string[],
  knobs: Partial<Knobs> = {},
): Promise<{ parent: ChildProcess; engines: ReadyLine[] }> {
  const parent = spawn(
    process.execPath,
    [join(packageRoot, "test/fakes/fleet/main.ts"), dir, JSON.stringify(knobs), ...ids],
    {
      stdio: ["ignore", "pipe", "inherit"],
    },
  );
  started.push(parent);
  const engines: ReadyLine[] = [];
  if (parent.stdout) createInterface(parent.stdout).on("line", (line) => engines.push(JSON.parse(line) as ReadyLine));
  await eventually("all engines are ready", () => engines.length === ids.length);
  return { parent, engines };
}

const childrenOf = async (pid: number): Promise<number[]> =>
  (await readFile(`/proc/${pid}/task/${pid}/children`, "utf8"))
    .split(" ")
    .filter((text) => text !== "")
    .map(Number);

test("no engine outlives a parent that is killed by SIGKILL, not even one that ignores SIGTERM", async () => {
  const { parent, engines } = await parentWith(["a", "b"], { ignoreSigterm: true, holdPipe: true });
  const pids = (await Promise.all(engines.map(async ({ pid }) => [pid, ...(await childrenOf(pid))]))).flat();
  // Two engines, each with its guard and its grandchild.
  expect(pids).toHaveLength(6);
  parent.kill("SIGKILL");
  await eventually("all are gone", async () => !(await Promise.all(pids.map(isRunning))).some(Boolean), 2_000);
});

test("the guard survives the SIGTERM that an engine ignores", async () => {
  const { parent, engines } = await parentWith(["a"], { ignoreSigterm: true });
  const pid = engines[0]?.pid ?? -1;
  process.kill(-pid, "SIGTERM");
  await eventually("the engine heard it", async () =>
    (await readFile(join(dir, "a.log"), "utf8")).includes("SIGTERM ignored"),
  );
  expect(await childrenOf(pid)).toHaveLength(1);
  parent.kill("SIGKILL");
  await eventually("the engine is gone", async () => !(await isRunning(pid)), 2_000);
});

test.each([
  ["exit 0", { code: 0, signal: null }],
  ["exit 42", { code: 42, signal: null }],
  ["kill -ABRT $$", { code: null, signal: "SIGABRT" }],
])("an engine that ends by itself (%s) keeps its exit and leaves no guard behind", async (script, expected) => {
  const log = join(dir, "out.log");
  const engine = spawnEngine({ command: "/bin/sh", args: ["-c", `sleep 0.2; ${script}`], env: {} }, log, {
    PATH: process.env["PATH"] ?? "",
  });
  const children = await eventually("the guard is there", async () =>
    (await childrenOf(engine.pid).catch(() => [])).at(0),
  );
  expect(await engine.exited).toMatchObject(expected);
  await eventually("the guard is gone", async () => !(await isRunning(children)), 2_000);
});

test("the next start ends what an earlier daemon left, by pid and start time", async () => {
  const victim = spawn("sleep", ["600"], { detached: true, stdio: "ignore" });
  const bystander = spawn("sleep", ["600"], { detached: true, stdio: "ignore" });
  started.push(victim, bystander);
  const [victimPid, bystanderPid] = [victim.pid ?? -1, bystander.pid ?? -1];
  const socketPath = join(dir, "victim.sock");
  await writeFile(socketPath, "");
  await writeFile(
    join(dir, "engines.json"),
    JSON.stringify([
      { instanceId: "victim", pid: victimPid, startTime: await processStartTime(victimPid), socketPath },
      // The pid went to another program after the engine had died.
      {
        instanceId: "reused",
        pid: bystanderPid,
        startTime: `${await processStartTime(bystanderPid)}0`,
        socketPath: join(dir, "x.sock"),
      },
      { instanceId: "dead", pid: 2 ** 22 + 1, startTime: "1", socketPath: join(dir, "y.sock") },
      { instanceId: "nonsense" },
    ]),
  );
  expect(await sweepLeftovers(documentsIn(dir))).toEqual([{ instanceId: "victim", pid: victimPid, ended: true }]);
  await eventually("the leftover is gone", async () => !(await isRunning(victimPid)));
  expect(await isRunning(bystanderPid)).toBe(true);
  await expect(access(socketPath)).rejects.toThrow();
  expect(await sweepLeftovers(documentsIn(dir))).toEqual([]);
});

test("a record that cannot be read stops nothing, and is set aside with a report", async () => {
  await writeFile(join(dir, "engines.json"), '[{"instanceId":"a"');
  const problems: string[] = [];
  expect(await sweepLeftovers(documentsIn(dir, (problem) => problems.push(problem)))).toEqual([]);
  await expect(access(join(dir, "engines.json"))).rejects.toThrow();
  const [aside = ""] = (await readdir(dir)).filter((file) => file.startsWith("engines.json.damaged-"));
  expect(await readFile(join(dir, aside), "utf8")).toBe('[{"instanceId":"a"');
  expect(problems).toEqual([
    expect.stringMatching(/^The list of running processes in .*engines\.json cannot be read and is ignored\.$/),
    expect.stringContaining(`the file is now ${join(dir, aside)}.`),
  ]);
});

test("what the fleet records is what the sweep ends", async () => {
  const { engines } = await parentWith(["a"]);
  expect(await sweepLeftovers(documentsIn(dir))).toEqual([{ instanceId: "a", pid: engines[0]?.pid, ended: true }]);
});

test("a start time names one process", async () => {
  const mine = await processStartTime(process.pid);
  expect(mine).not.toBeNull();
  expect(await processStartTime(process.pid)).toBe(mine);
  const child = spawn("sleep", ["600"], { stdio: "ignore" });
  started.push(child);
  const theirs = await processStartTime(child.pid ?? -1);
  expect(theirs).not.toBeNull();
  expect(theirs).not.toBe(mine);
  child.kill("SIGKILL");
  await eventually("a dead process has none", async () => (await processStartTime(child.pid ?? -1)) === null);
  expect(await processStartTime(-1)).toBeNull();
});
