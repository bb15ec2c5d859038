/**
 * A real model: the bare llama-server against the same one behind the daemon, tokens per second at 1 and 8 streams, and
 * how soon the engine stops for a client that has left. The bare arm runs the daemon's own command line.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import type { InstanceStatus } from "../../src/api/status.ts";
import { eventually, installAssistant, readyInstances, type TestAssistant } from "../../test/support/assistant.ts";
import { printTable, Report } from "../lib/report.ts";
import { quantile, shown, spread } from "../lib/statistics.ts";
import { chatBody, open, stream, type Target, text } from "./client.ts";
import { leavings, stopTime } from "./departure.ts";

export interface EngineBenchOptions {
  readonly rounds: number;
  /** GGUF file of a chat model. */
  readonly model: string;
  readonly llamaServer: string;
  /** Leavings measured per kind. */
  readonly departures: number;
}

const TOKENS = 192;
const WARM_UP_TOKENS = 128;
const PROMPT = "Name three rivers and say where they end.";

export async function benchEngine(options: EngineBenchOptions): Promise<void> {
  await using assistant = await installAssistant({
    config: `[engine]\nllama_server_path = "${options.llamaServer}"\n`,
    models: {
      bench: `[chat]\nmodel_name = "bench"\nsource = "${options.model}"\nengine = "llama-server"\nctx_size = 2048\nslots = 8\n`,
    },
  });
  const port = Number(new URL(await assistant.serve()).port);
  await stream({ port }, PROMPT, 4);
  const instance = await running(assistant);
  const socketPath = instance.endpoint ?? "";
  const bareSocket = join(assistant.root, "bare.sock");
  await using _bare = await bareEngine(instance, bareSocket);
  const arms: readonly (readonly [string, Target])[] = [
    ["direct", { socketPath: bareSocket }],
    ["daemon", { port }],
  ];
  const report = new Report("engine");
  await throughput(arms, options.rounds, report);
  await departures({ port }, { socketPath }, options.departures, report);
  console.log(
    `\nkept in ${report.save({ model: options.model.split("/").at(-1), engine: (await assistant.status()).instances[0]?.engine, threads: instance.threads })}`,
  );
}

const running = (assistant: TestAssistant): Promise<InstanceStatus> =>
  eventually("the model is ready", async () => readyInstances(await assistant.status(), "bench")[0]);

/** The daemon's engine once more, on another socket: same program, same arguments, same environment. */
async function bareEngine(instance: InstanceStatus, socketPath: string): Promise<AsyncDisposable> {
  const listOf = async (name: string): Promise<string[]> =>
    (await readFile(`/proc/${instance.pid}/${name}`, "utf8")).split("\0").slice(0, -1);
  const words = await listOf("cmdline");
  const env = Object.fromEntries(
    (await listOf("environ")).map((entry) => [entry.slice(0, entry.indexOf("=")), entry.slice(entry.indexOf("=") + 1)]),
  );
  const args = words.slice(1).map((word) => (word === instance.endpoint ? socketPath : word));
  const child = spawn(words[0] ?? "", args, { stdio: "ignore", env });
  await eventually(
    "the bare engine answers",
    () =>
      stream({ socketPath }, PROMPT, 4).then(
        () => true,
        () => false,
      ),
    60_000,
  );
  return {
    [Symbol.asyncDispose]: async () => {
      const gone = once(child, "exit");
      child.kill("SIGKILL");
      await gone;
    },
  };
}

async function throughput(arms: readonly (readonly [string, Target])[], rounds: number, report: Report): Promise<void> {
  // The first tokens through a process meet code that is not compiled yet.
  for (const [, target] of arms)
    await Promise.all(Array.from({ length: 8 }, (_, index) => stream(target, `${index}. ${PROMPT}`, WARM_UP_TOKENS)));
  const table: string[][] = [["streams", "arm", "tokens/s", "first token ms", "daemon ÷ direct", "goal"]];
  for (const streams of [1, 8]) {
    const rates = new Map<string, number[]>(arms.map(([name]) => [name, []]));
    const firsts = new Map<string, number[]>(arms.map(([name]) => [name, []]));
    for (let round = 0; round < rounds; round++) {
      for (const [name, target] of round % 2 === 0 ? arms : [...arms].reverse()) {
        const startedAt = performance.now();
        const figures = await Promise.all(
          Array.from({ length: streams }, (_, index) => stream(target, `${index}. ${PROMPT}`, TOKENS)),
        );
        const seconds = (performance.now() - startedAt) / 1000;
        rates.get(name)?.push(figures.reduce((sum, { tokens }) => sum + tokens, 0) / seconds);
        firsts.get(name)?.push(
          quantile(
            figures.map(({ firstTokenMs }) => firstTokenMs).sort((a, b) => a - b),
            0.5,
          ),
        );
      }
    }
    const ratio = spread(
      (rates.get("daemon") ?? []).map((rate, round) => rate / (rates.get("direct")?.[round] ?? Number.NaN)),
    );
    for (const [name] of arms) {
      report.add({
        bench: "engine",
        measure: "tokens/s",
        streams,
        arm: name,
        rounds,
        ...spread(rates.get(name) ?? []),
      });
      report.add({
        bench: "engine",
        measure: "first token ms",
        streams,
        arm: name,
        rounds,
        ...spread(firsts.get(name) ?? []),
      });
      const own = name === "daemon" ? [shown(ratio), "≥ 0.97"] : ["", ""];
      table.push([
        String(streams),
        name,
        shown(spread(rates.get(name) ?? []), 1),
        shown(spread(firsts.get(name) ?? []), 0),
        ...own,
      ]);
    }
    report.add({ bench: "engine", measure: "tokens/s, daemon ÷ direct", streams, goal: "≥ 0.97", rounds, ...ratio });
  }
  console.log("");
  printTable(table);
}

/** Another client streams all the while: an idle engine notices sooner. */
async function departures(through: Target, engine: Target, count: number, report: Report): Promise<void> {
  const table: string[][] = [["client leaves in", "asked for", "how", "p50 ms", "p99 ms", "goal"]];
  for (const leaving of leavings) {
    const times: number[] = [];
    for (let index = 0; index < count; index++) {
      const other = open(through, "/v1/chat/completions", chatBody("Tell another story.", 1900, { stream: true }));
      const answer = await other.answer;
      answer.on("error", () => {});
      await new Promise((resolve) => answer.once("data", resolve));
      answer.resume();
      times.push(await stopTime(through, engine, leaving, 1));
      other.leave(false);
      await eventually("the engine is idle", async () => (await inProgress(engine)) === 0);
    }
    times.sort((a, b) => a - b);
    const goal = leaving.phase === "decode" ? "≤ 50" : "≤ a batch, about 200";
    const figures = { p50: quantile(times, 0.5), p99: quantile(times, 0.99) };
    report.add({ bench: "engine", measure: "stop after departure, ms", ...leaving, count, goal, ...figures });
    table.push([
      leaving.phase,
      leaving.streamed ? "a stream" : "one piece",
      leaving.half ? "half-closes" : "closes",
      figures.p50.toFixed(0),
      figures.p99.toFixed(0),
      goal,
    ]);
  }
  console.log("");
  printTable(table);
}

/** Requests the engine works on. */
async function inProgress(engine: Target): Promise<number> {
  return (JSON.parse(await text(engine, "/slots")) as { is_processing: boolean }[]).filter((slot) => slot.is_processing)
    .length;
}
