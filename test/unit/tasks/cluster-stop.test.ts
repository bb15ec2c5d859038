import { Redis } from "ioredis";
import { expect, test } from "vitest";
import { systemClock } from "../../../src/core/clock.ts";
import { ClusterRunner, type ClusterRunnerOptions } from "../../../src/tasks/cluster-runner.ts";
import { freePort } from "../../support/redis.ts";
import { taskOrder } from "../../support/tasks.ts";

test("a daemon whose Redis is away ends while a queue waits for it", async () => {
  const client = new Redis({ host: "127.0.0.1", port: await freePort(), enableOfflineQueue: false });
  client.on("error", () => {});
  const asked = Promise.withResolvers<void>();
  const runner = new ClusterRunner({
    connection: {
      client,
      isUp: false,
      command: async () => [],
      use: (call: (redis: Redis) => Promise<unknown>) => {
        const made = call(client);
        asked.resolve();
        return made;
      },
    } as unknown as ClusterRunnerOptions["connection"],
    serves: () => true,
    lostAfterMs: 1_000,
    concurrency: () => 1,
    clock: systemClock,
    log: { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} },
  } as unknown as ClusterRunnerOptions);
  const order = taskOrder("river");
  runner.announce([{ id: "task_1", order }]).catch(() => {});
  await asked.promise;
  runner.stop();
  await runner.settled();
  expect(client.status).not.toBe("ready");
  client.disconnect();
});
