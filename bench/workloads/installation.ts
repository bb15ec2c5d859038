import { createHash } from "node:crypto";
import { chmod, mkdir, mkdtemp, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { adminRoutes } from "../../src/api/routes.ts";
import type { DaemonStatus } from "../../src/api/status.ts";
import type { RoutingPolicyName } from "../../src/core/config.ts";
import { CACHE_SCOPES_PATCH, DEPARTED_CLIENTS_PATCH } from "../../src/engines/llama-server/build/manifest.ts";
import { eventually, installAssistant, readyInstances } from "../../test/support/assistant.ts";
import { callEngine } from "../../test/support/fake-engine.ts";
import { emptyGguf } from "../../test/support/gguf-writer.ts";
import { benchRoot } from "../lib/report.ts";
import { largeGpu } from "../stub/parameters.ts";
import type { StubRecord } from "../stub/record.ts";
import type { StubFile } from "../stub/settings.ts";

/** A model that stub engines serve. */
export interface StubModel {
  readonly stub?: StubFile;
  /** Default: 1. All are started with the daemon, unless `cold`. */
  readonly replicas?: number;
  readonly cold?: boolean;
  readonly slots: number;
  readonly contextTokens: number;
  readonly hostCacheMib?: number;
  /** Further lines of its section. */
  readonly toml?: string;
}

export interface StubSetup {
  readonly models: Readonly<Record<string, StubModel>>;
  readonly policy?: RoutingPolicyName;
  readonly maxInstances?: number;
  /** Further lines of `[scheduler]`. */
  readonly scheduler?: string;
  /** Names of keys, each a tenant; the key is its name. */
  readonly tenants?: readonly string[];
}

/** A real daemon in front of stub engines. */
export interface StubInstallation extends AsyncDisposable {
  readonly port: number;
  status(): Promise<DaemonStatus>;
  /** Of a model's running engines: whoever asks there goes past the daemon. */
  sockets(model: string): Promise<string[]>;
  /** What the running engines of a model have counted. */
  records(model: string): Promise<StubRecord[]>;
  launches(model: string): Promise<number>;
  /**
   * Share of the engines' steps that ended over 10 ms late, and the latest: the machine was too busy for what it
   * simulates.
   */
  lateness(model: string): Promise<{ readonly lateStepShare: number; readonly latestStepMs: number }>;
}

/** How much faster than its parameters the stub is, in all workloads. */
export const SPEED = 2;
const BATCH_TOKENS = 512;

/** Starts it and waits until every model that is not cold is up. Needs a build. */
export async function installStubs(setup: StubSetup): Promise<StubInstallation> {
  const files = await mkdtemp(join(tmpdir(), "bench-workloads-"));
  const binary = await writeProgram(files);
  const weights = (name: string): string => join(files, `${name}.gguf`);
  const models = Object.entries(setup.models);
  for (const [name, { stub }] of models) {
    await writeFile(weights(name), emptyGguf);
    await writeFile(
      `${weights(name)}.stub.json`,
      JSON.stringify({ speed: SPEED, ...stub, parameters: { ...largeGpu, ...stub?.parameters } }),
    );
  }
  const sha256 = (key: string): string => createHash("sha256").update(key).digest("hex");
  const keys = (setup.tenants ?? [])
    .map((name) => `[[server.api_key_sha256]]\nname = "${name}"\nsha256 = "${sha256(name)}"\n`)
    .join("\n");
  const assistant = await installAssistant({
    config: `${keys}\n[engine]\nllama_server_path = "${binary}"\n`,
    // More threads than the machine has: stubs use none.
    scheduler: `thread_budget = 16\nslot_cache_mib = 0\nhost_cache_budget_mib = 65536\npolicy = "${setup.policy ?? "expected-time"}"\n${setup.scheduler ?? ""}\n`,
    maxInstances: setup.maxInstances ?? 4,
    models: Object.fromEntries(models.map(([name, model]) => [name, modelToml(name, weights(name), model)])),
  });
  const adminSocket = join(assistant.env["ASSISTANT_DATA_DIR"] ?? "", "run", "admin.sock");
  const status = async (): Promise<DaemonStatus> =>
    JSON.parse((await callEngine(adminSocket, adminRoutes.status)).text) as DaemonStatus;
  const dispose = async (): Promise<void> => {
    await assistant[Symbol.asyncDispose]();
    await rm(files, { recursive: true, force: true, maxRetries: 3 });
  };
  try {
    const port = Number(new URL(await assistant.serve()).port);
    for (const [name, { replicas = 1, cold = false }] of models) {
      if (!cold) await eventually(`${name} is up`, async () => readyInstances(await status(), name).length >= replicas);
    }
    const sockets = async (model: string): Promise<string[]> =>
      readyInstances(await status(), model).flatMap(({ endpoint }) => endpoint ?? []);
    const records = async (model: string): Promise<StubRecord[]> =>
      Promise.all(
        (await sockets(model)).map(
          async (socket) => JSON.parse((await callEngine(socket, "/__record")).text) as StubRecord,
        ),
      );
    return {
      port,
      status,
      sockets,
      records,
      lateness: async (model) => {
        const all = await records(model);
        const sum = (field: "steps" | "lateSteps"): number => all.reduce((total, record) => total + record[field], 0);
        return {
          lateStepShare: sum("lateSteps") / Math.max(1, sum("steps")),
          latestStepMs: Math.max(0, ...all.map(({ latestMs }) => latestMs)),
        };
      },
      launches: async (model) =>
        (await readFile(`${weights(model)}.launches`, "utf8").catch(() => "")).split("\n").length - 1,
      [Symbol.asyncDispose]: dispose,
    };
  } catch (error) {
    await dispose();
    throw error;
  }
}

function modelToml(
  name: string,
  weights: string,
  { replicas = 1, cold = false, slots, contextTokens, hostCacheMib = 0, toml = "" }: StubModel,
): string {
  const lines = [
    ...["[chat]", `model_name = "${name}"`, `source = "${weights}"`, 'engine = "llama-server"', "threads = 1"],
    ...[
      `slots = ${slots}`,
      `ctx_size = ${contextTokens}`,
      `batch_size = ${BATCH_TOKENS}`,
      `host_cache_mib = ${hostCacheMib}`,
      `replicas = ${replicas}`,
    ],
    ...(cold ? [] : ["preload = true", `replicas_min = ${replicas}`]),
  ];
  return `${lines.join("\n")}\n${toml}\n`;
}

/** A program called llama-server, with the manifest that says what it does as a patched one does. */
async function writeProgram(files: string): Promise<string> {
  const folder = join(files, "engine");
  const binary = join(folder, "llama-server");
  await mkdir(folder);
  await writeFile(
    binary,
    `#!/bin/sh\n[ "$1" = --version ] && exec echo "version: 0 (stub)"\nexec "${process.execPath}" "${join(benchRoot, "stub/main.ts")}" "$@"\n`,
  );
  await chmod(binary, 0o755);
  const patches = [DEPARTED_CLIENTS_PATCH, CACHE_SCOPES_PATCH].map((name) => ({ name, sha256: "0" }));
  const manifest = { schema: 1, engine: "llama-server", sourceTag: "stub", sourceCommit: "0", patches };
  const facts = {
    flags: [],
    backends: ["cpu"],
    compiler: "none",
    builtAt: "2026-01-01T00:00:00Z",
    buildSeconds: 0,
    binaryBytes: (await stat(binary)).size,
  };
  await writeFile(join(folder, "manifest.json"), JSON.stringify({ ...manifest, ...facts }));
  return binary;
}
