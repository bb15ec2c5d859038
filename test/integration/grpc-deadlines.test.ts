import { status as codes, type ServiceError } from "@grpc/grpc-js";
import { afterEach, expect, test } from "vitest";
import { eventually } from "../support/assistant.ts";
import { allUp, chatBody, grpcClient, keyed, NodeGroup, postChat, type TestNode } from "../support/nodes.ts";

/** A caller speaks gRPC to machine A, which has no model and forwards to machine B. */
const nodes = new NodeGroup();
const { start } = nodes;
afterEach(nodes.end);

const chain = async (model = "slots = 1\n"): Promise<{ a: TestNode; b: TestNode }> => {
  const b = await start({ models: { river: model } });
  const a = await start({ remotes: [{ name: "b", grpc: b.grpc }] });
  await allUp(a);
  await postChat(a.url, chatBody("river", { tokens: 1 }));
  return { a, b };
};
const call = (knobs: Parameters<typeof chatBody>[1], stream = false) => ({
  path: "/v1/chat/completions",
  method: "POST",
  body: Buffer.from(chatBody("river", knobs, stream)),
  headers: {},
});
const quiet = async ({ a, b }: { a: TestNode; b: TestNode }): Promise<boolean> =>
  (await a.nodes())[0]?.inFlight === 0 &&
  (await a.status()).queued === 0 &&
  (await b.status()).instances.every(({ inFlight }) => inFlight === 0);

test("a deadline that passes at the first machine stops the engine of the second", async () => {
  const both = await chain();
  using client = await grpcClient(both.a.grpc);
  const before = await both.b.record();
  const error = await client.forward(call({ tokens: 5_000, decodeDelayMs: 10 }), { deadlineMs: 2_000 }).then(
    () => null,
    (thrown: unknown) => thrown as ServiceError,
  );
  expect(error?.code).toBe(codes.DEADLINE_EXCEEDED);
  await eventually(
    "the engine over there has stopped",
    async () => (await both.b.record()).aborted === before.aborted + 1,
    10_000,
  );
  await eventually("nothing is left on either", () => quiet(both), 10_000);
});

test("a call that is cancelled at the first machine stops the engine of the second in the middle of its stream", async () => {
  const both = await chain();
  using client = await grpcClient(both.a.grpc);
  const before = await both.b.record();
  const stream = client.raw.ForwardRequestStream(call({ tokens: 5_000, decodeDelayMs: 10 }, true), keyed());
  const ended = new Promise((resolve) => stream.once("error", resolve));
  await new Promise((resolve) => stream.once("data", resolve));
  await eventually("it runs over there", async () => (await both.b.record()).inFlight === 1);
  stream.cancel();
  await ended;
  await eventually(
    "the engine over there has stopped",
    async () => (await both.b.record()).aborted === before.aborted + 1,
    10_000,
  );
  await eventually("nothing is left on either", () => quiet(both), 10_000);
});

test("a request that waits for another machine is refused when its deadline passes, and never gets there", async () => {
  const both = await chain();
  const leaving = new AbortController();
  const held = postChat(both.b.url, chatBody("river", { tokens: 5_000, decodeDelayMs: 10 }), {}, leaving.signal).catch(
    () => null,
  );
  await eventually("the other machine is known to be busy", async () => {
    const waiting = await postChat(both.a.url, chatBody("river", { tokens: 1 }), { "x-request-timeout": "0.3" });
    return (
      waiting.status === 504 &&
      ((await waiting.json()) as { error: { code: string } }).error.code === "deadline_exceeded"
    );
  });
  const { requests } = await both.b.record();
  const late = await postChat(both.a.url, chatBody("river", { tokens: 1 }), { "x-request-timeout": "0.3" });
  expect([late.status, await late.json()]).toEqual([
    504,
    { error: expect.objectContaining({ code: "deadline_exceeded" }) },
  ]);
  expect((await both.b.record()).requests).toBe(requests);
  leaving.abort();
  await held;
});
