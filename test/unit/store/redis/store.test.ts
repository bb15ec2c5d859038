import { afterAll, beforeAll } from "vitest";
import { RedisStore } from "../../../../src/store/redis/store.ts";
import { startRedis, type TestRedis } from "../../../support/redis.ts";
import { storeSuite } from "../../../support/store-suite.ts";

let redis: TestRedis;
beforeAll(async () => {
  redis = await startRedis();
});
afterAll(async () => {
  await redis?.[Symbol.asyncDispose]();
});

const report = (problem: string): never => {
  throw new Error(problem);
};

storeSuite("Redis", (_, clock) => RedisStore.open({ url: redis.url, report, clock }));
