import { request } from "node:http";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Device } from "../../src/core/device.ts";
import { type Engine, type LaunchPlan, traitsOf } from "../../src/core/engine.ts";
import type { InstanceSnapshot } from "../../src/core/instance.ts";
import { capabilitiesOfKind, ENGINE_SAMPLING, type ModelSpec, PLAIN_LOAD } from "../../src/core/model.ts";
import type { Knobs } from "../fakes/engine/knobs.ts";
import type { EngineRecord } from "../fakes/engine/record.ts";
import { compileCache } from "./assistant.ts";

export type { EngineRecord, Knobs };

export const fakeEngineProgram = join(dirname(fileURLToPath(import.meta.url)), "../fakes/engine/main.ts");

/**
 * An engine whose instances run the fake program. A function decides for every launch anew, so that a first start can
 * fail and a second succeed; `slots` and `contextTokens` follow the model unless the knobs say otherwise.
 */
export function fakeEngine(
  knobs: Partial<Knobs> | ((plan: LaunchPlan, attempt: number) => Partial<Knobs>) = {},
): Engine {
  let launches = 0;
  return {
    id: "llama-server",
    traits: traitsOf("llama-server"),
    availability: async () => ({
      available: true,
      path: process.execPath,
      version: "fake-1",
      backends: ["cpu"],
      noticesDisconnects: true,
      separatesCaches: true,
    }),
    launch(plan) {
      const chosen = typeof knobs === "function" ? knobs(plan, launches++) : knobs;
      const { slots, contextTokens } = plan.model.load;
      return {
        command: process.execPath,
        args: [fakeEngineProgram, "--socket", plan.socketPath],
        env: {
          FAKE_ENGINE: JSON.stringify({ slots, contextTokens, slotDir: plan.slotDir ?? "", ...chosen }),
          NODE_NO_WARNINGS: "1",
          NODE_COMPILE_CACHE: compileCache,
        },
      };
    },
  };
}

/** Calls an engine's socket; the body is sent as JSON, the answer returned as text. */
export function callEngine(
  socketPath: string,
  path: string,
  body?: unknown,
  signal?: AbortSignal,
): Promise<{ status: number; text: string }> {
  return new Promise((resolve, reject) => {
    const call = request({
      socketPath,
      path,
      method: body === undefined ? "GET" : "POST",
      headers: { "content-type": "application/json" },
      ...(signal ? { signal } : {}),
    });
    call.on("error", reject);
    call.on("response", (response) => {
      let text = "";
      response.setEncoding("utf8");
      response.on("data", (part: string) => {
        text += part;
      });
      response.on("error", reject);
      response.on("end", () => resolve({ status: response.statusCode ?? 0, text }));
    });
    call.end(body === undefined ? undefined : JSON.stringify(body));
  });
}

/** What the fake engine counted so far. */
export const engineRecord = async (socketPath: string): Promise<EngineRecord> =>
  JSON.parse((await callEngine(socketPath, "/__record")).text) as EngineRecord;

/** Changes the behaviour of a running fake engine. */
export const turnKnobs = async (socketPath: string, knobs: Partial<Knobs>): Promise<void> => {
  await callEngine(socketPath, "/__knobs", knobs);
};

/** A valid model for tests; the weights need not exist for a fake engine. */
export function testModel(changes: Partial<ModelSpec> = {}, load: Partial<ModelSpec["load"]> = {}): ModelSpec {
  return {
    name: "fake",
    aliases: [],
    kind: changes.kind ?? "chat",
    capabilities: capabilitiesOfKind(changes.kind ?? "chat"),
    engine: "llama-server",
    source: { type: "file", path: "/nowhere/fake.gguf" },
    load: {
      ...PLAIN_LOAD,
      contextTokens: 4096,
      slots: 2,
      batchTokens: 512,
      microBatchTokens: 512,
      threads: "auto",
      splitMode: "layer",
      ...load,
    },
    sampling: ENGINE_SAMPLING,
    includeUsage: false,
    devices: [],
    replicas: 1,
    idleTtlMs: null,
    preload: false,
    pinned: false,
    ownAddresses: [],
    file: "/nowhere/fake.toml",
    fingerprint: "fake",
    ...changes,
  };
}

export const testSnapshot = (changes: Partial<InstanceSnapshot> = {}): InstanceSnapshot => ({
  id: "fake@cpu",
  model: "fake",
  device: "cpu",
  engine: "llama-server",
  traits: { noticesDisconnects: true, separatesCaches: true },
  state: "ready",
  pid: 1,
  endpoint: "/run/fake.sock",
  slots: 2,
  contextTokens: 4096,
  threads: 1,
  startedAt: 0,
  readyAt: 0,
  attempts: 0,
  retryAt: null,
  lastDeath: null,
  memoryBytes: null,
  logFile: "",
  ...changes,
});

export const testDevice = (changes: Partial<Device> = {}): Device => ({
  id: "cpu",
  vendor: "cpu",
  name: "test CPU",
  memoryTotalBytes: 8 * 2 ** 30,
  memoryFreeBytes: 8 * 2 ** 30,
  utilizationPercent: null,
  temperatureCelsius: null,
  env: {},
  ...changes,
});
