/**
 * How many tasks a second the daemon accepts, each durable before it is acknowledged: one client, in batches and one by one
 * over connections that are kept alive. One task runs on the fake engine meanwhile, so that all others are queued.
 *
 *   npm run bench -- tasks [--tasks 20000] [--batch 500] [--connections 1,16]      (after `npm run build`)
 */
import { Agent, request } from "node:http";
import { parseArgs } from "node:util";
import { fake, installFakes } from "../test/support/fake-installation.ts";
import { printTable } from "./lib/report.ts";

const { values } = parseArgs({
  options: {
    tasks: { type: "string", default: "20000" },
    batch: { type: "string", default: "500" },
    connections: { type: "string", default: "1,16" },
  },
});
const total = Number(values.tasks);

await using assistant = await installFakes({
  config: "[tasks]\nconcurrency = 1\n",
  models: { river: { knobs: { decodeDelayMs: 1_000 }, toml: "preload = true" } },
});
const { port, hostname } = new URL(await assistant.serve());
await assistant.ready("river");
const task = { model: "river", prompt: `${fake({ decodeDelayMs: 1_000 })} Name three rivers.` };

/** Sends the bodies, each when the one before was acknowledged, over so many connections. Resolves with the seconds it took. */
async function send(path: string, body: string, times: number, connections: number): Promise<number> {
  const agent = new Agent({ keepAlive: true, maxSockets: connections });
  const post = (): Promise<void> =>
    new Promise((resolve, reject) => {
      const headers = { "content-type": "application/json", "content-length": Buffer.byteLength(body) };
      const outgoing = request({ agent, hostname, port, path, method: "POST", headers }, (answer) => {
        answer.resume().on("end", () => {
          if (answer.statusCode === 201) resolve();
          else reject(new Error(`expected status 201, got ${answer.statusCode}`));
        });
      });
      outgoing.on("error", reject);
      outgoing.end(body);
    });
  let left = times;
  const startedAt = performance.now();
  await Promise.all(
    Array.from({ length: connections }, async () => {
      while (left-- > 0) await post();
    }),
  );
  const seconds = (performance.now() - startedAt) / 1000;
  agent.destroy();
  return seconds;
}

const rows: string[][] = [["how", "connections", "tasks", "tasks/s"]];
const size = Number(values.batch);
const batch = JSON.stringify({ tasks: Array.from({ length: size }, () => task) });
for (const connections of values.connections.split(",").map(Number)) {
  const batches = Math.ceil(total / size);
  const inBatches = await send("/api/v1/tasks/batch", batch, batches, connections);
  rows.push([
    `batches of ${size}`,
    String(connections),
    String(batches * size),
    String(Math.round((batches * size) / inBatches)),
  ]);
  const single = Math.ceil(total / 4);
  const oneByOne = await send("/api/v1/tasks", JSON.stringify(task), single, connections);
  rows.push(["one by one", String(connections), String(single), String(Math.round(single / oneByOne))]);
}
printTable(rows);
