import { Redis } from "ioredis";
import { afterAll, beforeAll, expect, onTestFinished, test, vi } from "vitest";
import { redisSource } from "../../../src/pipelines/sources/redis.ts";
import { startRedis, type TestRedis } from "../../support/redis.ts";

let redis: TestRedis;
beforeAll(async () => {
  redis = await startRedis({ appendonly: "no" });
});
afterAll(() => redis?.[Symbol.asyncDispose]());

function open(place: { readonly channel?: string; readonly stream?: string; readonly list?: string }, concurrency = 1) {
  const answered: string[] = [];
  const troubles: Error[] = [];
  const source = redisSource(
    { use: "redis", url: redis.url, ...place },
    {
      answer: async ({ text }) => String(answered.push(String(text))),
      variable: () => undefined,
      concurrency,
      trouble: (error) => troubles.push(error),
    },
  );
  onTestFinished(() => source.close());
  return { answered, troubles };
}
function client(): Redis {
  const connected = new Redis(redis.url);
  onTestFinished(() => connected.disconnect());
  return connected;
}
const soon = { timeout: 10_000, interval: 20 };

test("a channel is listened to once its server is there", async () => {
  await redis.kill();
  const { answered, troubles } = open({ channel: "calls" });
  await vi.waitFor(() => expect(troubles).not.toEqual([]), soon);
  await redis.start();
  const other = client();
  await vi.waitFor(async () => expect(await other.publish("calls", "ring")).toBe(1), soon);
  await vi.waitFor(() => expect(answered).toEqual(["ring"]), soon);
});

test("a stream goes on when its server has lost the consumer group with its data", async () => {
  const { answered } = open({ stream: "events" });
  const other = client();
  await other.xadd("events", "*", "value", "one");
  await vi.waitFor(() => expect(answered).toEqual(["one"]), soon);
  await other.flushall();
  await other.xadd("events", "*", "value", "two");
  await vi.waitFor(() => expect(answered).toEqual(["one", "two"]), soon);
});

test("what an earlier daemon had taken of a list is given back once, however many take from it", async () => {
  const moves: string[] = [];
  const lmove = vi.spyOn(Redis.prototype, "lmove").mockImplementation(async () => {
    moves.push("back");
    if (moves.length === 1) throw new Error("away");
    await new Promise(setImmediate);
    return null as unknown as string;
  });
  onTestFinished(() => lmove.mockRestore());
  const { answered } = open({ list: "questions" }, 2);
  await vi.waitFor(() => expect(moves.length).toBeGreaterThan(1), soon);
  await client().rpush("questions", "one", "two");
  await vi.waitFor(() => expect(answered.toSorted()).toEqual(["one", "two"]), soon);
  expect(moves).toHaveLength(2);
});
