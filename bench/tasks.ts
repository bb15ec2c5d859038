/**
 * How many tasks a second the daemon accepts, each durable before it is acknowledged: one client, in batches and one by
 * one over connections that are kept alive. One task runs on the fake engine meanwhile, so that all others are queued.
 * With
 * `--redis` the records are in a Redis that syncs every write, and BullMQ used directly on the same server stands
 * beside.
 *
 *   npm run bench -- tasks [--redis | --sync always] [--tasks 20000] [--batch 500] [--connections 1,16]      (after `npm run build`)
 */
import { Agent, request } from "node:http";
import { parseArgs } from "node:util";
import { fake, installFakes } from "../test/support/fake-installation.ts";
import { startRedis } from "../test/support/redis.ts";
import { printTable } from "./lib/report.ts";

const { values } = parseArgs({
  options: {
    redis: { type: "boolean", default: false },
    tasks: { type: "string", default: "20000" },
    batch: { type: "string", default: "500" },
    connections: { type: "string", default: "1,16" },
    sync: { type: "string", default: "always" },
  },
});
const total = Number(values.tasks);

await using redis = values.redis ? await startRedis() : null;
await using assistant = await installFakes({
  config: `[tasks]\nconcurrency = 1\nmax_pending = 1000000\n${redis === null ? `[store]\nsync = "${values.sync}"\n` : `[cluster]\nurl = "${redis.url}"\n`}`,
  models: { river: { knobs: { decodeDelayMs: 1_000 }, toml: "preload = true" } },
});
const { port, hostname } = new URL(await assistant.serve());
await assistant.ready("river");
const task = { model: "river", prompt: `${fake({ decodeDelayMs: 1_000 })} Name three rivers.` };

/** Does it so many times, so many at once, each after one that was acknowledged. Resolves with the seconds it took. */
async function timed(times: number, atOnce: number, once: () => Promise<void>): Promise<number> {
  let left = times;
  const startedAt = performance.now();
  await Promise.all(
    Array.from({ length: atOnce }, async () => {
      while (left-- > 0) await once();
    }),
  );
  return (performance.now() - startedAt) / 1000;
}

/** Sends the bodies over so many connections. */
async function send(path: string, body: string, times: number, connections: number): Promise<number> {
  const agent = new Agent({ keepAlive: true, maxSockets: connections });
  const headers = { "content-type": "application/json", "content-length": Buffer.byteLength(body) };
  const post = (): Promise<void> =>
    new Promise((resolve, reject) => {
      const outgoing = request({ agent, hostname, port, path, method: "POST", headers }, (answer) => {
        answer.resume().on("end", () => {
          if (answer.statusCode === 201) resolve();
          else reject(new Error(`expected status 201, got ${answer.statusCode}`));
        });
      });
      outgoing.on("error", reject);
      outgoing.end(body);
    });
  const seconds = await timed(times, connections, post);
  agent.destroy();
  return seconds;
}

const rows: string[][] = [["how", "connections", "tasks", "tasks/s"]];
const add = (how: string, connections: number, tasks: number, seconds: number): void => {
  rows.push([how, String(connections), String(tasks), String(Math.round(tasks / seconds))]);
};
const size = Number(values.batch);
const batch = JSON.stringify({ tasks: Array.from({ length: size }, () => task) });
const batches = Math.ceil(total / size);
const single = Math.ceil(total / 4);
for (const connections of values.connections.split(",").map(Number)) {
  add(
    `batches of ${size}`,
    connections,
    batches * size,
    await send("/api/v1/tasks/batch", batch, batches, connections),
  );
  add("one by one", connections, single, await send("/api/v1/tasks", JSON.stringify(task), single, connections));
  if (redis !== null) await addToBullmq(redis.url, connections);
}
printTable(rows);

/** The same jobs, with the whole task as their data, over one connection to Redis as BullMQ's users have it. */
async function addToBullmq(url: string, atOnce: number): Promise<void> {
  const [{ Queue }, { Redis }] = await Promise.all([import("bullmq"), import("ioredis")]);
  const connection = new Redis(url, { maxRetriesPerRequest: null });
  const queue = new Queue("bench", { connection });
  await queue.waitUntilReady();
  const jobs = Array.from({ length: size }, () => ({ name: "task", data: task, opts: { priority: 1 } }));
  const inBatches = await timed(batches, atOnce, async () => void (await queue.addBulk(jobs)));
  add(`BullMQ directly, addBulk of ${size}`, atOnce, batches * size, inBatches);
  const oneByOne = await timed(single, atOnce, async () => void (await queue.add("task", task, { priority: 1 })));
  add("BullMQ directly, add", atOnce, single, oneByOne);
  await queue.close();
  connection.disconnect();
}
