import { status as codes, type ServiceError } from "@grpc/grpc-js";
import { afterAll, beforeAll, expect, test } from "vitest";
import { eventually } from "../support/assistant.ts";
import { allUp, chatBody, grpcClient, keyed, NodeGroup, postChat, type TestNode } from "../support/nodes.ts";

/** A caller speaks gRPC to machine A, which has no model and forwards to machine B. */
const nodes = new NodeGroup();
let a: TestNode;
let b: TestNode;
beforeAll(async () => {
  b = await nodes.start({ models: { river: "slots = 1\n" } });
  a = await nodes.start({ remotes: [{ name: "b", grpc: b.grpc }] });
  await allUp(a);
  await postChat(a.url, chatBody("river", { tokens: 1 }));
});
afterAll(nodes.end);

const call = (knobs: Parameters<typeof chatBody>[1], stream = false) => ({
  path: "/v1/chat/completions",
  method: "POST",
  body: Buffer.from(chatBody("river", knobs, stream)),
  headers: {},
});
const quiet = async (): Promise<boolean> =>
  (await a.nodes())[0]?.inFlight === 0 &&
  (await a.status()).queued === 0 &&
  (await b.status()).instances.every(({ inFlight }) => inFlight === 0);

test("a deadline that passes at the first machine stops the engine of the second", async () => {
  using client = await grpcClient(a.grpc);
  const before = await b.record();
  const error = await client.forward(call({ tokens: 5_000, decodeDelayMs: 10 }), { deadlineMs: 2_000 }).then(
    () => null,
    (thrown: unknown) => thrown as ServiceError,
  );
  expect(error?.code).toBe(codes.DEADLINE_EXCEEDED);
  await eventually(
    "the engine over there has stopped",
    async () => (await b.record()).aborted === before.aborted + 1,
    10_000,
  );
  await eventually("nothing is left on either", quiet, 10_000);
});

test("a call that is cancelled at the first machine stops the engine of the second in the middle of its stream", async () => {
  using client = await grpcClient(a.grpc);
  const before = await b.record();
  const stream = client.raw.ForwardRequestStream(call({ tokens: 5_000, decodeDelayMs: 10 }, true), keyed());
  const ended = new Promise((resolve) => stream.once("error", resolve));
  await new Promise((resolve) => stream.once("data", resolve));
  await eventually("it runs over there", async () => (await b.record()).inFlight === 1);
  stream.cancel();
  await ended;
  await eventually(
    "the engine over there has stopped",
    async () => (await b.record()).aborted === before.aborted + 1,
    10_000,
  );
  await eventually("nothing is left on either", quiet, 10_000);
});

test("a request that waits for another machine is refused when its deadline passes, and never gets there", async () => {
  const leaving = new AbortController();
  const held = postChat(b.url, chatBody("river", { tokens: 5_000, decodeDelayMs: 10 }), {}, leaving.signal).catch(
    () => null,
  );
  await eventually("the other machine is known to be busy", async () => {
    const waiting = await postChat(a.url, chatBody("river", { tokens: 1 }), { "x-request-timeout": "0.3" });
    return (
      waiting.status === 504 &&
      ((await waiting.json()) as { error: { code: string } }).error.code === "deadline_exceeded"
    );
  });
  const { requests } = await b.record();
  const late = await postChat(a.url, chatBody("river", { tokens: 1 }), { "x-request-timeout": "0.3" });
  expect([late.status, await late.json()]).toEqual([
    504,
    { error: expect.objectContaining({ code: "deadline_exceeded" }) },
  ]);
  expect((await b.record()).requests).toBe(requests);
  leaving.abort();
  await held;
});
