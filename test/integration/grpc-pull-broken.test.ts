import { readdir, readFile, readlink, stat } from "node:fs/promises";
import { join } from "node:path";
import { execa } from "execa";
import { afterAll, beforeAll, expect, test } from "vitest";
import { openNodeStore } from "../../src/cluster/model-store.ts";
import { parseAddress } from "../../src/config/network.ts";
import type { ListenAddress } from "../../src/core/config.ts";
import { eventually, installAssistant, packageRoot, type TestAssistant } from "../support/assistant.ts";
import { giveModel, heldWay, smallModel, transfersSince } from "../support/handed-models.ts";
import { freeAddress, remoteToml, startNode, type TestNode } from "../support/nodes.ts";
import { quick, sha256, testStore } from "../support/store.ts";

// More than all the buffers between two daemons hold.
const weights = smallModel(24_000_000);
const HOLD_AFTER = 4_000_000;

let b: TestNode;
beforeAll(async () => {
  b = await startNode({ env: { ASSISTANT_GRPC_ADDR: await freeAddress() } });
  await giveModel(b, "river", weights);
});
afterAll(() => b[Symbol.asyncDispose]());

/** A machine that pulls from `b` by way of an address. Commands do so without a daemon. */
const puller = (grpc: string): Promise<TestAssistant> => installAssistant({ config: remoteToml({ name: "b", grpc }) });
const file = (assistant: TestAssistant, name: string): string => join(assistant.root, "data/models", name);
const arrived = (assistant: TestAssistant): Promise<number> =>
  stat(file(assistant, ".river.partial")).then(
    ({ size }) => size,
    () => 0,
  );
const beginPull = (assistant: TestAssistant) =>
  execa(process.execPath, [join(packageRoot, "bin/assistant.js"), "pull", "river", "--from", "b"], {
    env: assistant.env,
    extendEnv: false,
    reject: false,
    cwd: assistant.root,
  });

test("a connection that hangs is given up after its time, tried again, and then told", async () => {
  const transferred = await transfersSince(b);
  await using way = await heldWay(b.grpc, HOLD_AFTER);
  await using store = await testStore();
  using from = await openNodeStore({ name: "b", address: parseAddress(way.address) as ListenAddress, apiKey: null });
  await expect(store.pull("river", { from, timing: quick })).rejects.toMatchObject({
    code: "node_unavailable",
    message: expect.stringContaining("sent nothing for 0.4 s"),
  });
  expect(await store.files()).toEqual([".river.partial", ".river.partial.json"]);
  await eventually("the server ended them all", async () => {
    const lines = (await transferred()).map(({ msg }) => msg);
    return (
      lines.includes("model transfer begins") &&
      lines.filter((msg) => msg.endsWith("begins")).length === lines.filter((msg) => msg.endsWith("cancelled")).length
    );
  });
});

test("Ctrl-C ends the transfer on both sides and keeps what has arrived", async () => {
  const transferred = await transfersSince(b);
  await using way = await heldWay(b.grpc, HOLD_AFTER);
  await using a = await puller(way.address);
  const { pid } = await b.status();
  const open = async (): Promise<boolean> => {
    const folder = `/proc/${pid}/fd`;
    const targets = await Promise.all((await readdir(folder)).map((fd) => readlink(join(folder, fd)).catch(() => "")));
    return targets.includes(file(b.assistant, "river.gguf"));
  };
  const pulling = beginPull(a);
  await eventually("a part has arrived", async () => (await arrived(a)) > 1_000_000);
  expect(await open()).toBe(true);
  // The reader has stopped: so has the server, long before the end of the file.
  expect((await transferred()).map(({ msg }) => msg)).toEqual(["model transfer begins"]);
  pulling.kill("SIGINT");
  const { exitCode, stderr } = await pulling;
  expect(exitCode).toBe(130);
  expect(stderr).toContain("Downloaded data is kept");
  await eventually("the server has let the file go", async () => !(await open()), 5_000);
  const [, end] = await eventually("the server says so", async () => {
    const lines = await transferred();
    return lines.length === 2 && lines;
  });
  expect(end?.msg).toBe("model transfer cancelled");
  expect(end?.sent).toBeLessThan(weights.length);
  const kept = await arrived(a);
  expect(kept).toBeGreaterThan(1_000_000);

  way.release();
  expect((await a.run(["pull", "river", "--from", "b"])).exitCode).toBe(0);
  expect((await transferred()).at(-1)).toMatchObject({ msg: "model transfer done", offset: kept });
  expect(sha256(await readFile(file(a, "river.gguf")))).toBe(sha256(weights));
});

test("a transfer whose server is killed goes on where it stopped when the server is back", async () => {
  await using way = await heldWay(b.grpc, HOLD_AFTER);
  await using a = await puller(way.address);
  const pulling = beginPull(a);
  await eventually("a part has arrived", async () => (await arrived(a)) > 1_000_000);
  process.kill((await b.status()).pid, "SIGKILL");
  way.cut();
  const broken = await pulling;
  expect(broken.exitCode).toBe(1);
  expect(broken.stderr).toContain('The remote server "b" cannot be reached, or closed the connection');
  const kept = await arrived(a);
  expect(kept).toBeGreaterThan(1_000_000);
  expect((await a.run(["list", "--json"])).stdout).toMatch(/"models": \[\]/);

  way.release();
  await b.assistant.serve();
  const transferred = await transfersSince(b);
  const done = await a.run(["pull", "river", "--from", "b"]);
  expect(done.stdout).toContain("Pulled river from remote server b");
  expect(sha256(await readFile(file(a, "river.gguf")))).toBe(sha256(weights));
  expect((await transferred()).at(-1)).toMatchObject({
    msg: "model transfer done",
    offset: kept,
    sent: weights.length - kept,
  });
});

test("a daemon that is stopped does not wait for a transfer", async () => {
  await using way = await heldWay(b.grpc, HOLD_AFTER);
  await using a = await puller(way.address);
  const pulling = beginPull(a);
  await eventually("a part has arrived", async () => (await arrived(a)) > 1_000_000);
  const begun = performance.now();
  await b.assistant.stop();
  // The transfer itself would hang for 15 s at least.
  expect(performance.now() - begun).toBeLessThan(10_000);
  way.cut();
  const { exitCode, stderr } = await pulling;
  expect(exitCode).toBe(1);
  expect(stderr).toContain("Run the same command again to resume.");
});
