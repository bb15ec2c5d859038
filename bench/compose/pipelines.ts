/**
 * What a pipeline costs: the first token of a chat through three pass-through stages beside the same model asked
 * directly, in turns, and how many chunks a second three such stages relay to a client. The engine is the fake one.
 */
import { mkdir, writeFile } from "node:fs/promises";
import { Agent, request } from "node:http";
import { join } from "node:path";
import { installFakes } from "../../test/support/fake-installation.ts";
import { printTable, Report } from "../lib/report.ts";
import { quantile } from "../lib/statistics.ts";

const PASS = `export const createStage = () => ({ accepts: "text", emits: "text",
  async *run(input) { for await (const next of input) yield { next }; } });`;
const BURST = `export const createStage = ({ chunks }) => ({ accepts: "text", emits: "text",
  async *run() { for (let index = 0; index < chunks; index++) yield { next: " word" }; } });`;
const three = '{ use = "./pass.js" }, { use = "./pass.js" }, { use = "./pass.js" }';

export async function benchPipelines({
  rounds,
  chunks,
}: {
  readonly rounds: number;
  readonly chunks: number;
}): Promise<void> {
  await using assistant = await installFakes({ models: { river: { toml: "preload = true" } } });
  const folder = join(assistant.root, "pipelines");
  await mkdir(folder);
  const model = '{ use = "model", model = "river", split = false, to_client = false }';
  await Promise.all([
    writeFile(join(folder, "pass.js"), PASS),
    writeFile(join(folder, "burst.js"), BURST),
    writeFile(join(folder, "one.toml"), `stages = [${model}]`),
    writeFile(join(folder, "four.toml"), `stages = [${model}, ${three}]`),
    writeFile(join(folder, "relay.toml"), `stages = [{ use = "./burst.js", chunks = ${chunks} }, ${three}]`),
  ]);
  const { hostname, port } = new URL(await assistant.serve());
  await assistant.ready("river");
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });

  /** Sends a request; resolves with the milliseconds to the first event, those to the end, and the number of events. */
  function ask(path: string, body: object): Promise<{ firstMs: number; totalMs: number; events: number }> {
    return new Promise((resolve, reject) => {
      const payload = JSON.stringify(body);
      const headers = { "content-type": "application/json", "content-length": Buffer.byteLength(payload) };
      const startedAt = performance.now();
      let firstMs = 0;
      let events = 0;
      const outgoing = request({ agent, hostname, port, path, method: "POST", headers }, (answer) => {
        if (answer.statusCode !== 200) reject(new Error(`expected status 200, got ${answer.statusCode}`));
        answer.on("data", (bytes: Buffer) => {
          if (firstMs === 0 && bytes.includes("word")) firstMs = performance.now() - startedAt;
          for (let at = bytes.indexOf("word"); at >= 0; at = bytes.indexOf("word", at + 4)) events += 1;
        });
        answer.on("end", () => resolve({ firstMs, totalMs: performance.now() - startedAt, events }));
      });
      outgoing.on("error", reject);
      outgoing.end(payload);
    });
  }

  const report = new Report("compose-pipelines");
  const chat = (name: string): Promise<{ firstMs: number }> =>
    ask("/v1/chat/completions", {
      model: name,
      stream: true,
      max_tokens: 2,
      messages: [{ role: "user", content: "Hi." }],
    });
  const arms = ["river", "one", "four"] as const;
  const taken: Record<(typeof arms)[number], number[]> = { river: [], one: [], four: [] };
  for (let round = -50; round < rounds; round++)
    for (const arm of arms) {
      const { firstMs } = await chat(arm);
      if (round >= 0) taken[arm].push(firstMs);
    }
  const p50 = (arm: (typeof arms)[number]): number =>
    quantile(
      taken[arm].sort((a, b) => a - b),
      0.5,
    );
  const rows: string[][] = [["asked", "first token, p50 ms", "over the model, ms", "over one stage, ms"]];
  for (const arm of arms) {
    const [own, direct, one] = [p50(arm), p50("river"), p50("one")];
    rows.push([arm, own.toFixed(3), (own - direct).toFixed(3), (own - one).toFixed(3)]);
    report.add({
      bench: "compose-pipelines",
      measure: "first token",
      asked: arm,
      p50Ms: own,
      overModelMs: own - direct,
    });
  }
  printTable(rows);

  const rates: number[] = [];
  for (let round = 0; round < 5; round++) {
    const { totalMs, events } = await ask("/pipelines/relay/input", { user: "bench", Input: "", text: "x", Entry: 0 });
    if (events !== chunks) throw new Error(`expected ${chunks} chunks, got ${events}`);
    rates.push((chunks / totalMs) * 1000);
  }
  const rate = quantile(
    rates.sort((a, b) => a - b),
    0.5,
  );
  report.add({ bench: "compose-pipelines", measure: "relay", stages: 3, chunks, chunksPerSecond: Math.round(rate) });
  report.save();
  agent.destroy();
}
