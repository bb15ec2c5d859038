/**
 * Measures a real llama-server, fits the stub's parameters to it, and says how far the stub is from it on requests that
 * the fit has not seen.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { mkdtemp, rm, stat, symlink, writeFile } from "node:fs/promises";
import { availableParallelism, loadavg, tmpdir } from "node:os";
import { join } from "node:path";
import { callEngine } from "../../test/support/fake-engine.ts";
import { seededRandom } from "../../test/support/random.ts";
import { ended, endsWithUs } from "../lib/children.ts";
import { benchRoot, printTable, progress, Report } from "../lib/report.ts";
import { quantile } from "../lib/statistics.ts";
import { type AgentsMix, replayAgents } from "./agents.ts";
import {
  type DecodeSample,
  fastest,
  fitDecode,
  fitMixed,
  fitPrefill,
  fitTokens,
  type MixedSample,
  type PrefillSample,
  relativeErrors,
} from "./fit.ts";
import { type EngineParameters, writeParameters } from "./parameters.ts";
import { again, type ChatTurn, decodeAt, prefillBeside, prefillOnce, prose } from "./probes.ts";
import { heldOutMix, type Replayed, replayMix } from "./replay.ts";
import { renderPrompt } from "./text.ts";

export interface CalibrateOptions {
  readonly model: string;
  readonly llamaServer: string;
  /** Most rounds; fewer where they take too long. */
  readonly rounds: number;
  /** Of the engine. */
  readonly threads: number;
}

const SLOTS = 4;
/**
 * No further round of measurements begins that would end later than this: three take two minutes on two quiet cores.
 */
const MEASURE_WITHIN_MS = 210_000;
const BATCH_TOKENS = 64;
const MIX = { requests: 30, gapMs: 1300, seed: 7 };
/** More conversations than slots, of the same beginning or not: what the slots and the host cache keep of them. */
const AGENTS: Readonly<Record<string, AgentsMix>> = {
  "nothing in common": { agents: 6, turns: 3, sharedBytes: 0, ownBytes: 400, answerTokens: 8 },
  "a long beginning in common": { agents: 6, turns: 3, sharedBytes: 1600, ownBytes: 400, answerTokens: 8 },
};
const HOST_CACHE_MIB = 256;

export async function calibrate({ model, llamaServer, rounds: most, threads }: CalibrateOptions): Promise<void> {
  const [load = 0, cores] = [loadavg()[0], availableParallelism()];
  if (load >= cores / 2)
    progress(
      `other programs keep this machine busy (load ${load.toFixed(1)} on ${cores} cores): what is fitted now is theirs too`,
    );
  const directory = await mkdtemp(join(tmpdir(), "bench-calibrate-"));
  const report = new Report("calibrate");
  try {
    const weights = join(directory, "model.gguf");
    await symlink(model, weights);
    const mix = heldOutMix(MIX.requests, MIX.gapMs, MIX.seed);
    const loads: number[] = [];
    for (let load = 0; load < LOADS; load++) {
      progress(`load ${load + 1} of ${LOADS}`);
      await using engine = await start([llamaServer], { weights, directory, threads });
      loads.push(engine.loadMs);
    }
    let parameters: EngineParameters;
    let real: Measured;
    let rounds: number;
    {
      await using engine = await start([llamaServer], { weights, directory, threads });
      const loadMs = quantile([...loads, engine.loadMs].sort(ascending), 0.5);
      const samples = await measureSamples(engine.target, most, report);
      rounds = samples.rounds;
      parameters = {
        ...fitAll(samples),
        loadBytesPerSecond: (await stat(model)).size / (loadMs / 1000),
        kvBytesPerToken: await kvBytes(model),
      };
      real = await replayAll("the engine", engine.target, mix);
    }
    await writeFile(`${weights}.stub.json`, JSON.stringify({ parameters, seed: 1 }));
    await using stub = await start([process.execPath, join(benchRoot, "stub/main.ts")], {
      weights,
      directory,
      threads,
    });
    const stubbed = await replayAll("the stub", stub.target, mix);
    for (const [measure, value] of Object.entries(parameters)) report.add({ bench: "calibrate", measure, value });
    const errors = compare(real.mix, stubbed.mix, report);
    compareCaches(real.agents, stubbed.agents, report);
    const from = {
      at: new Date().toISOString(),
      model: model.split("/").at(-1),
      slots: SLOTS,
      threads,
      batchTokens: BATCH_TOKENS,
      rounds,
      heldOut: { ...MIX, ...errors },
    };
    writeParameters({ from, parameters });
    console.log(
      `\nkept in ${report.save({ model: from.model, slots: SLOTS, threads, batchTokens: BATCH_TOKENS, rounds })} and in bench/stub/parameters.json`,
    );
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

const LOADS = 2;

interface Measured {
  readonly mix: readonly Replayed[];
  /** Tokens prefilled in later turns as a multiple of the new ones, for each mix of agents. */
  readonly agents: Readonly<Record<string, number>>;
}

async function replayAll(
  who: string,
  target: Running["target"],
  mix: ReturnType<typeof heldOutMix>,
): Promise<Measured> {
  progress(`${who}: ${mix.length} held-out requests, ${Math.round((MIX.gapMs * mix.length) / 1000)} s`);
  const replayed = await replayMix(target, mix);
  const agents: Record<string, number> = {};
  for (const [name, agentsMix] of Object.entries(AGENTS)) {
    progress(`${who}: more conversations than slots, ${name}`);
    const { newTokens, prefilled } = await replayAgents(target, agentsMix);
    agents[name] = prefilled / newTokens;
  }
  return { mix: replayed, agents };
}

function compareCaches(real: Measured["agents"], stubbed: Measured["agents"], report: Report): void {
  const table = [
    [`prefilled ÷ new, ${AGENTS["nothing in common"]?.agents} conversations on ${SLOTS} slots`, "engine", "stub"],
  ];
  for (const [name, engine] of Object.entries(real)) {
    report.add({
      bench: "calibrate",
      measure: "prefilled ÷ new",
      conversations: name,
      real: engine,
      stub: stubbed[name],
    });
    table.push([name, engine.toFixed(2), (stubbed[name] ?? Number.NaN).toFixed(2)]);
  }
  console.log("");
  printTable(table);
}

const ascending = (a: number, b: number): number => a - b;
const user = (content: string): ChatTurn => ({ role: "user", content });

interface Samples {
  readonly lengths: { bytes: number; tokens: number }[];
  readonly prefills: PrefillSample[];
  readonly decodes: DecodeSample[];
  readonly mixed: MixedSample[];
  rounds: number;
}

async function measureSamples(target: Running["target"], most: number, report: Report): Promise<Samples> {
  const random = seededRandom(1);
  let seed = 0;
  const turn = (bytes: number): ChatTurn => user(prose(++seed, bytes, random));
  const samples: Samples = { lengths: [], prefills: [], decodes: [], mixed: [], rounds: 0 };
  const keep = <Sample extends object>(measure: string, list: Sample[], sample: Sample): void => {
    list.push(sample);
    report.add({ bench: "calibrate", measure, ...sample });
  };
  await decodeAt(target, [[turn(100)]], 16);
  const startedAt = performance.now();
  for (
    let round = 0;
    round < most && (performance.now() - startedAt) * (1 + 1 / Math.max(1, round)) < MEASURE_WITHIN_MS;
    round++
  ) {
    progress(`round ${round + 1} of ${most}: prompts alone, answers of 1, 2 and 4 at once, a prompt beside answers`);
    for (const bytes of [80, 400, 1200, 2600, 4400]) {
      const messages = [turn(bytes)];
      const sample = await again(() => prefillOnce(target, messages));
      keep("prefill", samples.prefills, sample);
      samples.lengths.push({ bytes: Buffer.byteLength(renderPrompt({ messages })), tokens: sample.promptTokens });
      if (bytes > 1200)
        keep(
          "prefill",
          samples.prefills,
          await prefillOnce(target, [...messages, { role: "assistant", content: "Good." }, turn(500)]),
        );
    }
    for (const [active, bytes] of [1, 2, 4].flatMap((count) => [120, 1600].map((length) => [count, length] as const))) {
      const prompts = Array.from({ length: active }, () => [turn(bytes)]);
      // The first to begin must still be at it when the last does.
      keep(
        "decode",
        samples.decodes,
        await again(() => decodeAt(target, prompts, bytes < 1000 ? 64 : 64 + 32 * (active - 1))),
      );
    }
    keep(
      "prefill beside decode",
      samples.mixed,
      await again(() => prefillBeside(target, [[turn(100)], [turn(100)]], [turn(1500)], BATCH_TOKENS)),
    );
    samples.rounds += 1;
  }
  return samples;
}

function fitAll({
  lengths,
  prefills,
  decodes,
  mixed,
  rounds,
}: Samples): Omit<EngineParameters, "loadBytesPerSecond" | "kvBytesPerToken"> {
  const rates = {
    ...fitTokens(lengths),
    ...fitPrefill(fastest(prefills, rounds)),
    ...fitDecode(fastest(decodes, rounds)),
  };
  return { ...rates, mixedDecodeShare: fitMixed(fastest(mixed, rounds), rates) };
}

function compare(
  real: readonly Replayed[],
  stubbed: readonly Replayed[],
  report: Report,
): Record<string, { median: number; p90: number }> {
  const table = [
    ["stub against the real engine, held-out requests", "real p50 ms", "stub p50 ms", "error: median", "p90"],
  ];
  const errors: Record<string, { median: number; p90: number }> = {};
  for (const measure of ["ttftMs", "totalMs"] as const) {
    const pairs = real.map((each, index) => ({ real: each[measure], stub: stubbed[index]?.[measure] ?? Number.NaN }));
    const error = relativeErrors(pairs);
    const p50 = (arm: "real" | "stub"): number => quantile(pairs.map((pair) => pair[arm]).sort(ascending), 0.5);
    errors[measure] = error;
    report.add({
      bench: "calibrate",
      measure: `relative error of ${measure}`,
      requests: real.length,
      realP50: p50("real"),
      stubP50: p50("stub"),
      ...error,
      pairs,
    });
    table.push([
      measure,
      p50("real").toFixed(0),
      p50("stub").toFixed(0),
      `${(100 * error.median).toFixed(1)} %`,
      `${(100 * error.p90).toFixed(1)} %`,
    ]);
  }
  const cached = (list: readonly Replayed[]): number => list.reduce((sum, { cachedTokens }) => sum + cachedTokens, 0);
  report.add({ bench: "calibrate", measure: "cached tokens", real: cached(real), stub: cached(stubbed) });
  console.log("");
  printTable(table);
  return errors;
}

/** From the header: keys and values of all layers, 2 bytes each. */
async function kvBytes(model: string): Promise<number> {
  const { readGgufFileInfo } = await import("node-llama-cpp");
  const { architectureMetadata: facts } = await readGgufFileInfo(model);
  const heads = Number(facts.attention?.head_count);
  return (
    2 *
    2 *
    Number(facts.block_count) *
    Number(facts.attention?.head_count_kv ?? heads) *
    (Number(facts.embedding_length) / heads)
  );
}

interface Running extends AsyncDisposable {
  readonly target: { readonly socketPath: string };
  readonly loadMs: number;
}

interface StartOptions {
  readonly weights: string;
  readonly directory: string;
  readonly threads: number;
}

/** Starts an engine with the daemon's kind of command line; resolves when it is healthy. */
async function start(
  [command = "", ...before]: readonly string[],
  { weights, directory, threads }: StartOptions,
): Promise<Running> {
  const socketPath = join(directory, `${performance.now().toFixed(0)}.sock`);
  const numbers = {
    "--parallel": SLOTS,
    "--ctx-size": 2048 * SLOTS,
    "--threads": threads,
    "--threads-batch": threads,
    "--cache-ram": HOST_CACHE_MIB,
    "--batch-size": BATCH_TOKENS,
    "--ubatch-size": BATCH_TOKENS,
  };
  const flags = [
    "--device",
    "none",
    "--gpu-layers",
    "0",
    "--load-mode",
    "mmap",
    "--jinja",
    "--fit",
    "off",
    "--offline",
    "--no-ui",
    "--slots",
    "--no-context-shift",
  ];
  const startedAt = performance.now();
  const args = [
    ...before,
    "--host",
    socketPath,
    "--model",
    weights,
    "--alias",
    "bench",
    ...Object.entries(numbers).flatMap(([flag, value]) => [flag, String(value)]),
    ...flags,
  ];
  const child = endsWithUs(spawn(command, args, { stdio: "ignore" }));
  try {
    await healthy(child, socketPath);
  } catch (error) {
    await ended(child);
    throw error;
  }
  return {
    target: { socketPath },
    loadMs: performance.now() - startedAt,
    [Symbol.asyncDispose]: () => ended(child),
  };
}

const START_TIMEOUT_MS = 60_000;

async function healthy(child: ChildProcess, socketPath: string): Promise<void> {
  for (const deadline = performance.now() + START_TIMEOUT_MS; performance.now() < deadline; ) {
    if (child.exitCode !== null) throw new Error(`the engine ended with code ${child.exitCode} while starting`);
    const status = await callEngine(socketPath, "/health").then(
      (answer) => answer.status,
      () => 0,
    );
    if (status === 200) return;
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  throw new Error(`the engine was not healthy within ${START_TIMEOUT_MS / 1000} s`);
}
