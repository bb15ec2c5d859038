import { afterAll, beforeAll, expect, test } from "vitest";
import type { NodesReport } from "../../src/api/nodes.ts";
import { eventually, installAssistant } from "../support/assistant.ts";
import { chatBody, freeAddress, NodeGroup, postChat, type TestNode } from "../support/nodes.ts";

const nodes = new NodeGroup();
let a: TestNode;
let b: TestNode;
let away: string;

beforeAll(async () => {
  b = await nodes.start({ models: { river: 'model_alias = "stream"\n' } });
  away = await freeAddress();
  a = await nodes.start({
    models: { lake: "" },
    remotes: [
      { name: "b", grpc: b.grpc, extra: "weight = 3" },
      { name: "gone", grpc: away },
      { name: "off", grpc: away, extra: "enabled = false" },
    ],
  });
  await eventually(
    "the states are known",
    async () => (await a.nodes()).map(({ state }) => state).join() === "up,down,disabled",
  );
});
afterAll(nodes.end);

test("node list shows who is up, away and switched off, as a table and as JSON", async () => {
  expect((await postChat(a.url, chatBody("river", { tokens: 1 }))).status).toBe(200);
  const { exitCode, stdout } = await a.assistant.run(["node", "list", "--json"]);
  expect(exitCode).toBe(0);
  const report = JSON.parse(stdout) as NodesReport;
  expect(report).toMatchObject({
    nodeId: expect.stringMatching(/^node_/),
    grpc: a.grpc,
    nodes: [
      {
        ...{
          name: "b",
          address: b.grpc,
          state: "up",
          models: ["river"],
          weight: 3,
          inFlight: 0,
          requestsServed: 1,
          lastError: null,
        },
        ...{
          version: expect.stringMatching(/^\d/),
          latencyMs: expect.any(Number),
          firstByteMs: expect.any(Number),
          seenAt: expect.any(Number),
        },
      },
      { name: "gone", address: away, state: "down", models: [], requestsServed: 0, latencyMs: null, seenAt: null },
      { name: "off", state: "disabled", lastError: null },
    ],
  });
  const table = (await a.assistant.run(["node", "list"])).stdout;
  expect(table).toMatch(/^gone +127\.0\.0\.1:\d+ +down +- +1 +0 +0 +- +- +-$/m);
  expect(table).toMatch(
    new RegExp(
      `^gone: The remote server "gone" cannot be reached: connect ECONNREFUSED ${away} \\(never seen\\)$`,
      "m",
    ),
  );
  expect(table).toContain(`This machine is ${report.nodeId} and takes requests at ${a.grpc} (gRPC).`);
});

test("a model that only another machine has is listed, told of and chatted with", async () => {
  const before = (await a.nodes())[0]?.requestsServed ?? 0;
  expect((await a.assistant.run(["list"])).stdout).toMatch(/^lake [\s\S]*^On other machines: river \(b\)$/m);
  expect(JSON.parse((await a.assistant.run(["list", "--json"])).stdout)).toMatchObject({
    elsewhere: [{ name: "river", kind: "chat", nodes: ["b"] }],
  });
  const shown = await a.assistant.run(["show", "river"]);
  expect(shown).toMatchObject({ exitCode: 4, stdout: "" });
  expect(shown.stderr).toContain('"river" is not on this machine; it is served by b.');
  expect(shown.stderr).toContain("assistant pull river --from b");
  // By its alias over there, too.
  const answer = await a.assistant.run(["run", "stream", "Hello"], { input: "" });
  expect(answer).toMatchObject({ exitCode: 0, stdout: expect.stringMatching(/\S/) });
  expect((await a.nodes())[0]?.requestsServed).toBe(before + 1);
});

test("without servers, and without a daemon, node list says what to do", async () => {
  await using alone = await installAssistant();
  expect(await alone.run(["node", "list"])).toMatchObject({
    exitCode: 3,
    stderr: expect.stringContaining("assistant serve"),
  });
  const failure = await alone.run(["node", "list", "--json"]);
  expect(failure.exitCode).toBe(3);
  expect(JSON.parse(failure.stdout)).toMatchObject({ error: { code: "daemon_not_running" } });
  await alone.serve();
  expect((await alone.run(["node", "list"])).stdout).toContain("[[remote_servers]]");
  expect(JSON.parse((await alone.run(["node", "list", "--json"])).stdout)).toMatchObject({ nodes: [] });
});
