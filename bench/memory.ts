/**
 * How near memory estimates come to what engines take: `npm run bench -- memory --llama-server PROGRAM --chat
 * FILE.gguf --embedding FILE.gguf`. Starts each case, fills its slots, and compares the resident memory of the process
 * with the estimate. Writes bench/results/memory.json.
 */
import { mkdtemp, rm } from "node:fs/promises";
import { request } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import type { Device } from "../src/core/device.ts";
import type { ProcessSpec } from "../src/core/engine.ts";
import {
  capabilitiesOfKind,
  ENGINE_SAMPLING,
  type EngineId,
  type LoadSettings,
  type ModelKind,
  type ModelSpec,
  PLAIN_LOAD,
} from "../src/core/model.ts";
import { llamaServerArguments } from "../src/engines/llama-server/arguments.ts";
import { createEmbeddedEngine } from "../src/engines/node-llama-cpp/engine.ts";
import { createEngineProbe } from "../src/engines/surface.ts";
import { spawnEngine } from "../src/fleet/engine-process.ts";
import { groupUse } from "../src/fleet/vitals.ts";
import { estimateMemory } from "../src/models/fit.ts";
import { printTable, Report } from "./lib/report.ts";

interface Case {
  readonly name: string;
  readonly engine: EngineId;
  readonly kind: ModelKind;
  readonly file: string;
  readonly load: Partial<LoadSettings>;
}

const { values } = parseArgs({
  options: {
    "llama-server": { type: "string" },
    chat: { type: "string" },
    embedding: { type: "string" },
    threads: { type: "string", default: "2" },
  },
});
const llamaServer = values["llama-server"];
if (llamaServer === undefined || values.chat === undefined || values.embedding === undefined) {
  throw new Error("usage: npm run bench -- memory --llama-server PROGRAM --chat FILE.gguf --embedding FILE.gguf");
}

const base: LoadSettings = {
  ...PLAIN_LOAD,
  ...{ contextTokens: 2048, slots: 1, batchTokens: 512, microBatchTokens: 512, threads: Number(values.threads) },
  splitMode: "layer",
};
const device: Device = {
  ...{ id: "cpu", vendor: "cpu", name: "CPU", memoryTotalBytes: 0, memoryFreeBytes: 0 },
  ...{ utilizationPercent: null, temperatureCelsius: null, env: {} },
};

const chat = (name: string, load: Partial<LoadSettings>, engine: EngineId = "llama-server"): Case => ({
  ...{ name, engine, kind: "chat", file: values.chat ?? "", load },
});
const embedding = (name: string, load: Partial<LoadSettings>, engine: EngineId = "llama-server"): Case => ({
  ...{ name, engine, kind: "embedding", file: values.embedding ?? "", load: { pooling: "mean", ...load } },
});
const q8 = { cacheTypeK: "q8_0", cacheTypeV: "q8_0" };
const cases: readonly Case[] = [
  chat("context 512", { contextTokens: 512, batchTokens: 32, microBatchTokens: 32 }),
  chat("context 2048", { batchTokens: 32, microBatchTokens: 32 }),
  chat("2 slots", { slots: 2, contextTokens: 1024, batchTokens: 32, microBatchTokens: 32 }),
  chat("4 slots", { slots: 4, contextTokens: 512, batchTokens: 128, microBatchTokens: 128 }),
  chat("batch 512", { contextTokens: 1024 }),
  chat("batch 2048, micro-batch 512", { contextTokens: 1024, batchTokens: 2048 }),
  chat("cache q8_0", { contextTokens: 2048, batchTokens: 128, microBatchTokens: 128, ...q8 }),
  chat("without mmap", { contextTokens: 1024, batchTokens: 128, microBatchTokens: 128, mmap: false }),
  chat("embedded engine", { slots: 2, contextTokens: 1024, batchTokens: 32, microBatchTokens: 32 }, "node-llama-cpp"),
  embedding("context 256, 1 slot", { contextTokens: 256 }),
  embedding("context 256, 2 slots", { contextTokens: 256, slots: 2 }),
  embedding("context 512, 4 slots", { contextTokens: 512, slots: 4 }),
  embedding("embedded engine", { contextTokens: 256, slots: 2 }, "node-llama-cpp"),
];

const embedded = createEmbeddedEngine({ nodePath: process.execPath });
await embedded.availability();
const report = new Report("memory");
const table: string[][] = [["model", "case", "estimate MB", "measured MB", "held MB", "difference"]];
const directory = await mkdtemp(join(tmpdir(), "bench-memory-"));
const mb = (bytes: number): string => (bytes / 1e6).toFixed(0);

for (const [index, one] of cases.entries()) {
  const load = { ...base, ...one.load };
  const socketPath = join(directory, `${index}.sock`);
  const spec = specOf(one, load, socketPath);
  const engine = spawnEngine(spec, join(directory, "log"), { PATH: process.env["PATH"] ?? "" });
  try {
    await ready(socketPath);
    await fill(one.kind, load, socketPath);
    const use = await groupUse(engine.pid);
    if (use === null) throw new Error(`the engine of "${one.name}" has ended; see ${join(directory, "log")}`);
    const { total } = await estimateMemory(one.file, { ...load, kind: one.kind, engine: one.engine });
    const difference = total.hostBytes / use.memoryBytes - 1;
    report.add({
      ...{
        bench: "memory",
        measure: one.name,
        engine: one.engine,
        kind: one.kind,
        slots: load.slots,
        contextTokens: load.contextTokens,
      },
      ...{
        batchTokens: load.batchTokens,
        microBatchTokens: load.microBatchTokens,
        cacheType: load.cacheTypeK,
        mmap: load.mmap,
      },
      ...{ estimateBytes: total.hostBytes, measuredBytes: use.memoryBytes, heldBytes: use.heldBytes, difference },
    });
    const percent = `${difference > 0 ? "+" : ""}${(difference * 100).toFixed(1)} %`;
    table.push([one.kind, one.name, mb(total.hostBytes), mb(use.memoryBytes), mb(use.heldBytes), percent]);
  } finally {
    engine.kill("SIGKILL");
    await engine.exited;
  }
}
await rm(directory, { recursive: true, force: true });
printTable(table);
console.log(report.save());
// The library that reads model files keeps the process alive.
process.exit(0);

function specOf({ engine, kind, file }: Case, load: LoadSettings, socketPath: string): ProcessSpec {
  const model: ModelSpec = {
    ...{
      name: "bench",
      aliases: [],
      kind,
      capabilities: capabilitiesOfKind(kind),
      engine,
      source: { type: "file", path: file },
      load,
      sampling: ENGINE_SAMPLING,
      includeUsage: false,
      devices: [],
    },
    ...{ replicas: 1, idleTtlMs: null, preload: false, pinned: false, ownAddresses: [], file: "", fingerprint: "" },
  };
  const plan = { instanceId: "bench", model, modelPath: file, device, threads: Number(values.threads), socketPath };
  return engine === "llama-server"
    ? { command: llamaServer ?? "", args: llamaServerArguments(plan), env: { GOMP_SPINCOUNT: "1000" } }
    : embedded.launch(plan);
}

async function ready(socketPath: string): Promise<void> {
  const probe = createEngineProbe();
  const signal = AbortSignal.timeout(120_000);
  while (!signal.aborted) {
    if ((await probe.health(socketPath, signal).catch(() => "loading")) === "ready") return;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error("the engine was not ready within two minutes");
}

/** As many requests at once as there are slots, each nearly as long as its context. */
async function fill(kind: ModelKind, load: LoadSettings, socketPath: string): Promise<void> {
  // One token a word in an encoder's vocabulary; elsewhere some words are two.
  const length = Math.floor(
    kind === "embedding" ? Math.min(load.contextTokens, load.microBatchTokens) * 0.97 : load.contextTokens * 0.8,
  );
  const text = (slot: number): string =>
    Array.from({ length }, (_, index) => ["river", "stone", "cloud", "tree"][(index + slot) % 4]).join(" ");
  const bodies = Array.from({ length: load.slots }, (_, slot) =>
    kind === "embedding" ? { input: text(slot) } : { prompt: text(slot), max_tokens: 4, temperature: 0 },
  );
  await Promise.all(
    bodies.map((body) => post(socketPath, kind === "embedding" ? "/v1/embeddings" : "/v1/completions", body)),
  );
}

function post(socketPath: string, path: string, body: object): Promise<void> {
  return new Promise((resolve, reject) => {
    const call = request(
      { socketPath, path, method: "POST", headers: { "content-type": "application/json" } },
      (response) => {
        let text = "";
        response.setEncoding("utf8").on("data", (part: string) => {
          text += part;
        });
        response.on("end", () =>
          response.statusCode === 200
            ? resolve()
            : reject(new Error(`${path} answered ${response.statusCode}: ${text.slice(0, 300)}`)),
        );
      },
    );
    call.on("error", reject);
    call.end(JSON.stringify(body));
  });
}
