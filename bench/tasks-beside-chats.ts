/**
 * What chats of people wait beside a busy queue of tasks: two clients chat, with nothing else to do and while tasks run
 * in all places that they may have, in turns. The fake engine decodes at a fixed pace, so that all that differs is
 * waiting.
 *
 * With `--sync-ms 50` each commit takes as long as on a disk whose syncs take 50 ms.
 *
 *   npm run bench -- tasks-beside-chats [--rounds 4] [--chats 150] [--sync-ms 0]      (after `npm run build`)
 */
import { parseArgs } from "node:util";
import { fake, installFakes } from "../test/support/fake-installation.ts";
import { printTable } from "./lib/report.ts";
import { quantile, shown, spread } from "./lib/statistics.ts";

const { values } = parseArgs({
  options: {
    rounds: { type: "string", default: "4" },
    chats: { type: "string", default: "150" },
    "sync-ms": { type: "string", default: "0" },
  },
});
const CLIENTS = 2;
const pace = { decodeDelayMs: 10 };
const TOKENS = 4;

await using assistant = await installFakes({
  config: "[tasks]\nmax_pending = 100000\n",
  models: { river: { slots: 8, toml: "preload = true" } },
  env:
    values["sync-ms"] === "0"
      ? {}
      : {
          NODE_OPTIONS: `--import=${new URL("lib/slow-sync.ts", import.meta.url).href}`,
          BENCH_SYNC_MS: values["sync-ms"],
        },
});
const url = await assistant.serve();
await assistant.ready("river");

const post = async (path: string, body: object): Promise<Response> => {
  const answer = await fetch(`${url}${path}`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(body),
  });
  if (!answer.ok) throw new Error(`${path}: ${answer.status} ${await answer.text()}`);
  return answer;
};

/** Milliseconds of each chat, sorted. */
async function chats(): Promise<number[]> {
  const times: number[] = [];
  let left = Number(values.chats);
  const messages = [{ role: "user", content: `${fake(pace)} Name three rivers.` }];
  await Promise.all(
    Array.from({ length: CLIENTS }, async () => {
      while (left-- > 0) {
        const begunAt = performance.now();
        await (await post("/v1/chat/completions", { model: "river", messages, max_tokens: TOKENS })).text();
        times.push(performance.now() - begunAt);
      }
    }),
  );
  return times.sort((a, b) => a - b);
}

const queued = async (): Promise<number> =>
  ((await (await fetch(`${url}/api/v1/monitor/queue`)).json()) as { readonly queue_size: number }).queue_size;

const task = { model: "river", max_tokens: TOKENS, prompt: `${fake(pace)} Name three rivers.` };
const ratios: number[] = [];
const rows: string[][] = [["round", "alone p50", "alone p99", "beside tasks p50", "beside tasks p99", "p99 ratio"]];
await chats();
for (let round = 1; round <= Number(values.rounds); round++) {
  const alone = await chats();
  await post("/api/v1/tasks/batch", { tasks: Array.from({ length: 1_000 }, () => task) });
  const beside = await chats();
  if ((await queued()) === 0) throw new Error("the queue ran empty before the chats had ended: send more tasks");
  while ((await queued()) > 0) await new Promise((resolve) => setTimeout(resolve, 100));
  const ratio = quantile(beside, 0.99) / quantile(alone, 0.99);
  ratios.push(ratio);
  const cells = [alone, beside].flatMap((times) =>
    [0.5, 0.99].map((share) => `${quantile(times, share).toFixed(1)} ms`),
  );
  rows.push([String(round), ...cells, ratio.toFixed(2)]);
}
printTable(rows);
console.log(`p99 beside tasks ÷ alone: ${shown(spread(ratios))} (goal: at most 1.2)`);
