/**
 * What big broken bodies on one connection do to a stream on another: the gaps between the stream's chunks, without an
 * attack and during each. The attacker runs in a thread of its own, the daemon in its own process over the fake engine.
 *
 *   npm run bench -- attack [--times 5]      (after `npm run build`)
 */
import { request } from "node:http";
import { parseArgs } from "node:util";
import { isMainThread, parentPort, Worker, workerData } from "node:worker_threads";
import { attacks } from "../test/support/attacks.ts";
import { installFakes } from "../test/support/fake-installation.ts";
import { printTable, Report } from "./lib/report.ts";
import { quantile } from "./lib/statistics.ts";

const TOKEN_MS = 10;
const QUIET_MS = 3_000;

/** Resolves with the status of the answer. */
function post(port: number, body: string): Promise<number> {
  return new Promise((resolve, reject) => {
    const headers = { "content-type": "application/json" };
    const options = { host: "127.0.0.1", port, method: "POST", path: "/v1/chat/completions", headers };
    const outgoing = request(options, (answer) => {
      answer.resume().on("end", () => resolve(answer.statusCode ?? 0));
    });
    outgoing.on("error", reject);
    outgoing.end(body);
  });
}

async function attack(): Promise<void> {
  const { port, name, times } = workerData as { port: number; name: string; times: number };
  const body = (attacks[name] as () => string)();
  parentPort?.postMessage("begins");
  for (let sent = 0; sent < times; sent++) {
    const status = await post(port, body);
    if (status !== 400) throw new Error(`expected status 400 for ${name}, got ${status}`);
  }
}

/** Runs the attack in a thread; `onBegin` when its body is made. */
const attackInThread = (port: number, name: string, times: number, onBegin: () => void): Promise<void> =>
  new Promise((resolve, reject) => {
    const worker = new Worker(new URL(import.meta.url), { workerData: { port, name, times } });
    worker
      .on("message", onBegin)
      .on("error", reject)
      .on("exit", () => resolve());
  });

async function measure(): Promise<void> {
  const { values } = parseArgs({ options: { times: { type: "string", default: "5" } } });
  const report = new Report("attack");
  const model = { knobs: { decodeDelayMs: TOKEN_MS }, contextTokens: 1_000_000, toml: "preload = true" };
  await using assistant = await installFakes({ models: { river: model } });
  const url = await assistant.serve();
  const body = { model: "river", stream: true, max_tokens: 900_000, messages: [{ role: "user", content: "Go on." }] };
  const left = new AbortController();
  const stream = await fetch(`${url}/v1/chat/completions`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(body),
    signal: left.signal,
  });
  let gaps: number[] = [];
  const reading = (async () => {
    let lastAt = performance.now();
    for await (const _ of stream.body as ReadableStream<Uint8Array>) {
      const now = performance.now();
      gaps.push(now - lastAt);
      lastAt = now;
    }
  })().catch((error: unknown) => {
    if (!left.signal.aborted) throw error;
  });
  const rows: string[][] = [["attack", "chunks", "gap p50 ms", "gap p99 ms", "longest ms"]];
  const take = (name: string): void => {
    const sorted = gaps.sort((a, b) => a - b);
    const [p50, p99, longest] = [quantile(sorted, 0.5), quantile(sorted, 0.99), sorted.at(-1) ?? Number.NaN];
    report.add({
      bench: "attack",
      measure: "gap between chunks, ms",
      attack: name,
      chunks: sorted.length,
      p50,
      p99,
      longest,
    });
    rows.push([name, String(sorted.length), ...[p50, p99, longest].map((value) => value.toFixed(1))]);
    gaps = [];
  };
  await new Promise((resolve) => setTimeout(resolve, QUIET_MS));
  take("none");
  for (const name of Object.keys(attacks)) {
    await attackInThread(Number(new URL(url).port), name, Number(values.times), () => {
      gaps = [];
    });
    take(name);
  }
  left.abort();
  await reading;
  printTable(rows);
  console.log(`kept in ${report.save({ times: Number(values.times), tokenMs: TOKEN_MS })}`);
}

await (isMainThread ? measure() : attack());
