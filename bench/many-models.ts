/**
 * What it costs to have many models: `npm run bench -- many-models [--configured 200] [--loaded 30] [--weights
 * FILE.gguf]` (after `npm run build`). Writes bench/results/many-models.json. A daemon with one configured model stands
 * beside one with many; then many are loaded at once. Engines are fakes; the weights are links to one file, by default
 * a header with the vocabulary of a usual model.
 */
import { link, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { parseArgs } from "node:util";
import { startDaemon } from "../commands/support/daemon/start.ts";
import { adminRoutes } from "../src/api/routes.ts";
import { daemonClient } from "../src/client/daemon-client.ts";
import { resolvePaths } from "../src/config/paths.ts";
import { eventually, readyInstances } from "../test/support/assistant.ts";
import { callEngine } from "../test/support/fake-engine.ts";
import { type FakeInstallation, installFakes } from "../test/support/fake-installation.ts";
import { ggufPieces } from "../test/support/gguf-writer.ts";
import { benchRoot, printTable, progress, Report, type Row } from "./lib/report.ts";
import { type Spread, shown, spread } from "./lib/statistics.ts";
import { usageOf } from "./lib/usage.ts";

const { values } = parseArgs({
  options: {
    configured: { type: "string", default: "200" },
    loaded: { type: "string", default: "30" },
    weights: { type: "string" },
  },
});
const configured = Number(values.configured);
const loaded = Number(values.loaded);

/**
 * So many calls of each kind, this far apart: some of them meet the daemon's look at devices and files every two
 * seconds.
 */
const CALLS = 50;
const PAUSE_MS = 100;
const COMMANDS = 5;
const DAEMON = join(benchRoot, "../dist/src/daemon/main.js");
/** By then a daemon has read all headers, estimated what it can and given back what that took. */
const SETTLE_MS = 15_000;
/** What a start takes apart from its process. */
const LOAD_MS = 1_000;
const VOCABULARY = 50_000;

const report = new Report("many-models");
const table: string[][] = [["", "measure", "median (low–high)", "goal"]];

function add(arm: string, measure: string, figures: Spread, goal?: string): void {
  const row: Row = { bench: "many-models", arm, measure, ...figures, ...(goal === undefined ? {} : { goal }) };
  report.add(row);
  table.push([arm, measure, shown(figures, 1), goal ?? ""]);
}

const files = await mkdtemp(join(tmpdir(), "bench-many-models-"));
try {
  const weights = values.weights ?? (await writeHeader());
  progress("one configured model");
  const one = await idle("1 configured", 1, weights);
  await one.installation[Symbol.asyncDispose]();
  progress(`${configured} configured models`);
  const many = await idle(`${configured} configured`, configured, weights, "< 1500");
  const more = many.rssMib - one.rssMib;
  add(`${configured} configured`, "idle RSS, MiB more than with one", spread([more]), "≤ 10");
  await using installation = many.installation;
  progress(`loading ${loaded} at once`);
  await load(installation);
  await calls(`${loaded} loaded`, installation);
  printTable(table);
  console.log(
    `\nkept in ${report.save({ configured, loaded, weights: values.weights?.split("/").at(-1) ?? "a header" })}`,
  );
} finally {
  await rm(files, { recursive: true, force: true });
}

/** A whole file without tensors, whose header takes as long to read as that of a usual model. */
async function writeHeader(): Promise<string> {
  const file = join(files, "header.gguf");
  const tokens = Array.from({ length: VOCABULARY }, (_, index) => `token${index}`);
  const metadata = new Map([
    ["general.architecture", { text: "llama" }],
    ["llama.context_length", { u32: 2048 }],
    ["tokenizer.ggml.tokens", { texts: tokens }],
  ]);
  await writeFile(file, Buffer.concat(ggufPieces(metadata, [])));
  return file;
}

async function install(count: number, weights: string): Promise<FakeInstallation> {
  const names = Array.from({ length: count }, (_, index) => `model-${String(index).padStart(3, "0")}`);
  const installation = await installFakes({
    models: Object.fromEntries(names.map((name) => [name, { slots: 1, knobs: { startDelayMs: LOAD_MS } }])),
    maxInstances: loaded + 1,
    scheduler: "host_cache_budget_mib = 0",
  });
  for (const name of names) {
    await rm(installation.weights(name));
    await link(weights, installation.weights(name));
  }
  return installation;
}

async function idle(
  arm: string,
  count: number,
  weights: string,
  startGoal?: string,
): Promise<{ readonly installation: FakeInstallation; readonly rssMib: number }> {
  const installation = await install(count, weights);
  const paths = resolvePaths(installation.env);
  const starts: number[] = [];
  for (let round = 0; round < COMMANDS; round++) {
    if (round > 0) await installation.run(["stop", "--now"]);
    const began = performance.now();
    await startDaemon({ paths, env: installation.env, httpAddr: null, program: DAEMON });
    starts.push(performance.now() - began);
  }
  add(arm, "start of the daemon, ms", spread(starts), startGoal);
  await delay(SETTLE_MS);
  const { pid } = await installation.state();
  const rssMib = usageOf(pid).rssBytes / 2 ** 20;
  add(arm, "idle RSS, MiB", spread([rssMib]));
  await calls(arm, installation);
  return { installation, rssMib };
}

/** What people and programs ask a daemon for. */
async function calls(arm: string, installation: FakeInstallation): Promise<void> {
  const { url } = await installation.state();
  const models = async (): Promise<void> => void (await (await fetch(`${url}/v1/models`)).text());
  const status = async (): Promise<void> => void (await callEngine(installation.adminSocket, adminRoutes.status));
  add(arm, "status (ps), ms", spread(await timed(status, CALLS, PAUSE_MS)), "< 50");
  add(arm, "/v1/models, ms", spread(await timed(models, CALLS, PAUSE_MS)), "< 50");
  // Most of a command's time is the start of its process, which `version` has alone.
  const command = (...args: string[]) => timed(async () => void (await installation.run(args)), COMMANDS, 0);
  const [first] = await timed(async () => void (await installation.run(["list"])), 1, 0);
  const [version, ps, list] = [await command("version"), await command("ps", "--once"), await command("list")];
  const base = spread(version).median;
  add(arm, "command version, ms", spread(version));
  add(arm, "command ps, ms more than version", spread(ps.map((ms) => ms - base)), "< 50");
  add(arm, "first command list, ms more than version", spread([(first ?? Number.NaN) - base]));
  add(arm, "command list, ms more than version", spread(list.map((ms) => ms - base)), "< 50");
}

async function timed(call: () => Promise<void>, times: number, pauseMs: number): Promise<number[]> {
  const all: number[] = [];
  for (let index = 0; index < times; index++) {
    const began = performance.now();
    await call();
    all.push(performance.now() - began);
    await delay(pauseMs);
  }
  return all;
}

async function load(installation: FakeInstallation): Promise<void> {
  const client = daemonClient({ adminSocket: installation.adminSocket });
  const { models } = await installation.state();
  const ready = (name: string) =>
    eventually(`${name} is ready`, async () => readyInstances(await installation.state(), name)[0], 120_000);
  const [first, ...others] = models.slice(0, loaded).map(({ name }) => name);
  if (first === undefined) return;
  const began = performance.now();
  await client.actOnModel(first, "load");
  await ready(first);
  const single = performance.now() - began;
  add(`${loaded} loaded`, "load of one, ms", spread([single]));
  const beganAll = performance.now();
  await Promise.all(others.map((name) => client.actOnModel(name, "load")));
  for (const name of others) await ready(name);
  const all = performance.now() - beganAll;
  add(
    `${loaded} loaded`,
    `load of ${others.length} at once ÷ one after the other`,
    spread([all / (single * others.length)]),
    "< 0.5",
  );
}
