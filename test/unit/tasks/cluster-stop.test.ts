import { once } from "node:events";
import { type AddressInfo, createServer } from "node:net";
import { Redis } from "ioredis";
import { onTestFinished, test } from "vitest";
import { ClusterRunner, type ClusterRunnerOptions } from "../../../src/tasks/cluster-runner.ts";
import { FakeClock } from "../../support/fake-clock.ts";
import { freePort } from "../../support/redis.ts";
import { taskOrder } from "../../support/tasks.ts";

/** A daemon's runner that has begun to create a queue, with a client that never gets ready. */
async function runnerWith(port: number, isUp: boolean, clock: FakeClock): Promise<ClusterRunner> {
  const client = new Redis({ host: "127.0.0.1", port, enableOfflineQueue: false });
  client.on("error", () => {});
  onTestFinished(() => client.disconnect());
  const asked = Promise.withResolvers<void>();
  const runner = new ClusterRunner({
    connection: {
      client,
      isUp,
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
    clock,
    log: { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} },
  } as unknown as ClusterRunnerOptions);
  runner.announce([{ id: "task_1", order: taskOrder("river") }]).catch(() => {});
  await asked.promise;
  runner.stop();
  return runner;
}

test("a daemon whose Redis is away ends while a queue waits for it", async () => {
  const runner = await runnerWith(await freePort(), false, new FakeClock());
  await runner.settled();
});

test("a daemon whose Redis no longer responds ends soon", async () => {
  const silent = createServer().listen(0, "127.0.0.1");
  onTestFinished(() => void silent.close());
  await once(silent, "listening");
  const clock = new FakeClock();
  const runner = await runnerWith((silent.address() as AddressInfo).port, true, clock);
  const settled = runner.settled();
  clock.advance(3_000);
  await settled;
});
