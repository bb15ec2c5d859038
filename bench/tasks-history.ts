/**
 * What finished tasks in the store cost: a daemon with a few of them is compared with daemons that have many. All run
 * at once and are asked in turns, request by request, so that what else the machine does meets all of them. One task
 * runs on the fake engine, so that those that are made meanwhile are queued.
 *
 *   npm run bench -- tasks-history [--finished 1000,100000,1000000] [--rounds 5] [--requests 100] [--sync everysec]      (after `npm run build`)
 */
import { Agent, request } from "node:http";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { newTaskId } from "../src/core/ids.ts";
import { SqliteStore } from "../src/store/sqlite/store.ts";
import { info, moved, newTask, type TaskOrder, type TaskRecord, taskCollection } from "../src/tasks/record.ts";
import { fake, installFakes } from "../test/support/fake-installation.ts";
import { printTable, progress } from "./lib/report.ts";
import { quantile, shown, spread } from "./lib/statistics.ts";

const { values } = parseArgs({
  options: {
    finished: { type: "string", default: "1000,100000,1000000" },
    rounds: { type: "string", default: "5" },
    requests: { type: "string", default: "100" },
    sync: { type: "string", default: "everysec" },
  },
});
const COMMIT = 500;
const PAGE = 100;
const DEEP_PAGES = 100;
/** V8 compiles what is hot; all arms are as warm then. */
const WARM_UP_REQUESTS = 300;
const PROMPT = `${fake({ decodeDelayMs: 1_000 })} Name three rivers.`;

type Call = (path: string, body?: string) => Promise<string>;
interface Arm {
  readonly finished: number;
  readonly call: Call;
  /** Of a page far from the first. */
  readonly cursor: string;
}

await using stack = new AsyncDisposableStack();
const arms: Arm[] = [];
for (const finished of values.finished.split(",").map(Number)) arms.push(await arm(finished));

async function arm(finished: number): Promise<Arm> {
  const assistant = stack.use(
    await installFakes({
      config: `[tasks]\nconcurrency = 1\nmax_pending = 1000000\n[store]\nsync = "${values.sync}"\n`,
      models: { river: { knobs: { decodeDelayMs: 1_000 }, toml: "preload = true" } },
    }),
  );
  progress(`${finished} finished tasks`);
  await fill(join(assistant.env["ASSISTANT_DATA_DIR"] ?? "", "store"), finished);
  const call = caller(new URL(await assistant.serve()));
  await assistant.ready("river");
  let cursor = "";
  const pages = Math.min(DEEP_PAGES, finished / PAGE - 1);
  for (let page = 0; page < pages; page++) {
    const listed = JSON.parse(await call(`/api/v1/tasks?limit=${PAGE}${cursor}`)) as { readonly next: string };
    cursor = `&after=${listed.next}`;
  }
  return { finished, call, cursor };
}

/** Tasks as they are after their end: nine of ten completed. */
async function fill(directory: string, count: number): Promise<void> {
  const store = new SqliteStore({ directory, sync: "everysec", report: (problem) => console.error(problem) });
  const tasks = store.collection(taskCollection);
  const now = Date.now();
  for (let made = 0; made < count; made += COMMIT)
    await store.commit(
      Array.from({ length: COMMIT }, (_, index) => {
        const status = (made + index) % 10 === 0 ? "failed" : "completed";
        return tasks.put(newTaskId(), ended(status, now), { tenant: "local", expiresAt: now + 86_400_000 });
      }),
    );
  await store.close();
}

function ended(status: "completed" | "failed", now: number): TaskRecord {
  const order: TaskOrder = {
    ...{ model: "river", fallbacks: [], schema: null, repair: false, priority: 0, runAt: null, maxAttempts: 3 },
    ...{ webhookUrl: null, idempotencyKey: null },
    request: { messages: [{ role: "user", content: PROMPT }], temperature: 0.1, max_tokens: 2_048, top_p: 1 },
  };
  const task = newTask(order, { traceId: "0".repeat(32), trace: null, now });
  const running = moved(task, "processing", { startedAt: now }, info(now, "attempt 1 of 3 begins"));
  const usage = { promptTokens: 20, completionTokens: 40 };
  const text = "The Rhine, the Danube and the Elbe. ".repeat(5);
  const result = { text, finishReason: "stop", usage, model: "river", reasoning: null };
  return moved(running, status, { attempts: 1, finishedAt: now, result }, info(now, status));
}

function caller({ hostname, port }: URL): Call {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  stack.defer(() => agent.destroy());
  return (path, body) =>
    new Promise((resolve, reject) => {
      const method = body === undefined ? "GET" : "POST";
      const headers = body === undefined ? {} : { "content-type": "application/json" };
      const outgoing = request({ agent, hostname, port, path, method, headers }, (answer) => {
        const chunks: Buffer[] = [];
        answer.on("data", (chunk: Buffer) => chunks.push(chunk));
        answer.on("end", () => {
          const text = Buffer.concat(chunks).toString();
          if ((answer.statusCode ?? 500) < 300) resolve(text);
          else reject(new Error(`${method} ${path}: ${answer.statusCode} ${text}`));
        });
      });
      outgoing.on("error", reject);
      outgoing.end(body);
    });
}

const task = JSON.stringify({ model: "river", prompt: PROMPT });
const measures: Readonly<Record<string, (arm: Arm) => Promise<unknown>>> = {
  "make a task": ({ call }) => call("/api/v1/tasks", task),
  "list, first page": ({ call }) => call(`/api/v1/tasks?limit=${PAGE}`),
  "list, failed": ({ call }) => call(`/api/v1/tasks?limit=${PAGE}&status=failed`),
  "list, pending": ({ call }) => call(`/api/v1/tasks?limit=${PAGE}&status=pending`),
  "list, last page or page 100": ({ call, cursor }) => call(`/api/v1/tasks?limit=${PAGE}${cursor}`),
  "/health": ({ call }) => call("/health"),
  "monitor/health": ({ call }) => call("/api/v1/monitor/health"),
  "monitor/stats": ({ call }) => call("/api/v1/monitor/stats"),
  "monitor/queue": ({ call }) => call("/api/v1/monitor/queue"),
};

// Pages of all arms are full: an empty one is not what a long one is compared with.
for (const { call } of arms) {
  const tasks = Array.from({ length: PAGE }, () => JSON.parse(task) as object);
  await call("/api/v1/tasks/batch", JSON.stringify({ tasks }));
}

/** Medians in milliseconds, one for each arm; the arms are asked in turns. */
async function round(measure: (arm: Arm) => Promise<unknown>, requests: number): Promise<number[]> {
  const times = arms.map((): number[] => []);
  for (let count = 0; count < requests; count++)
    for (const offset of arms.keys()) {
      const at = (count + offset) % arms.length;
      const begunAt = performance.now();
      await measure(arms[at] as Arm);
      times[at]?.push(performance.now() - begunAt);
    }
  return times.map((each) =>
    quantile(
      each.sort((a, b) => a - b),
      0.5,
    ),
  );
}

const [base, ...others] = arms.map(({ finished }) => `${finished} finished`);
const rows = [["request", `${base}, ms`, ...others.flatMap((name) => [`${name}, ms`, "ratio"])]];
for (const [name, measure] of Object.entries(measures)) {
  progress(name);
  await round(measure, WARM_UP_REQUESTS);
  const rounds: number[][] = [];
  for (let count = 0; count < Number(values.rounds); count++)
    rounds.push(await round(measure, Number(values.requests)));
  const medians = arms.map((_, at) => spread(rounds.map((each) => each[at] ?? Number.NaN)).median.toFixed(2));
  const ratios = arms.map((_, at) => shown(spread(rounds.map((each) => (each[at] ?? 0) / (each[0] ?? 0)))));
  const cells = arms.slice(1).flatMap((_, at) => [medians[at + 1] ?? "", ratios[at + 1] ?? ""]);
  rows.push([name, medians[0] ?? "", ...cells]);
}
printTable(rows);
