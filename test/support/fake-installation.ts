import { chmod, mkdir, mkdtemp, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { adminRoutes } from "../../src/api/routes.ts";
import type { DaemonStatus, InstanceStatus } from "../../src/api/status.ts";
import { currentRecipe, type Recipe } from "../../src/engines/llama-server/build/recipe.ts";
import {
  compileCache,
  eventually,
  installAssistant,
  isRunning,
  packageRoot,
  readyInstances,
  type TestAssistant,
  type TestSetup,
} from "./assistant.ts";
import { callEngine, type EngineRecord, engineRecord, type Knobs, turnKnobs } from "./fake-engine.ts";
import { emptyGguf } from "./gguf-writer.ts";

/** A model that the fake engine serves. */
export interface FakeModel {
  readonly knobs?: Partial<Knobs> | readonly Partial<Knobs>[];
  readonly kind?: "chat" | "embedding";
  readonly slots?: number;
  readonly contextTokens?: number;
  /** Further lines of its section. */
  readonly toml?: string;
}

export interface FakeSetup extends Omit<TestSetup, "models"> {
  readonly models: Readonly<Record<string, FakeModel>>;
  /** Whether the engine counts as our own build, which notices departed clients, or as a stock one, which is driven. */
  readonly patched?: boolean;
}

/** An installation whose daemon runs the fake engine as its llama-server. */
export interface FakeInstallation extends TestAssistant {
  /** `status` without the price of a command. Rejects while no daemon answers. */
  state(): Promise<DaemonStatus>;
  readonly adminSocket: string;
  readonly modelDir: string;
  /** Where a model's weights pretend to be. */
  weights(name: string): string;
  toml(name: string, model?: FakeModel): string;
  /** How often an engine was started for the model. */
  launches(name: string): Promise<number>;
  ready(name: string): Promise<InstanceStatus>;
  /** What the engine of the model's first ready instance has counted. */
  record(name: string): Promise<EngineRecord>;
  turn(name: string, knobs: Partial<Knobs>): Promise<void>;
  /** The engine is one of our builds from now on, with or without our patches, as after `assistant engine build`. */
  rebuild(build: { readonly patched: boolean }): Promise<void>;
  /** Pids of all engines that were ever started here and still run. */
  livingEngines(): Promise<number[]>;
  /** Counts them until the result is called, which resolves with the most that ran at once. */
  watchEngines(): () => Promise<number>;
}

/** Processes that overlap do so for longer: one takes tens of milliseconds to end, or to start. */
const WATCH_EVERY_MS = 5;

export async function installFakes(setup: FakeSetup): Promise<FakeInstallation> {
  const files = await mkdtemp(join(tmpdir(), "assistant-fakes-"));
  const binary = await writeEngine(files, setup.patched ?? true);
  const weights = (name: string): string => join(files, `${name}.gguf`);
  const toml = (name: string, model: FakeModel = setup.models[name] ?? {}): string =>
    modelToml(name, weights(name), model);
  const names = Object.keys(setup.models);
  for (const name of names) {
    await writeFile(weights(name), emptyGguf);
    await writeFile(`${weights(name)}.knobs.json`, JSON.stringify(setup.models[name]?.knobs ?? {}));
  }
  const assistant = await installAssistant({
    ...setup,
    config: `${setup.config ?? ""}\n[engine]\nllama_server_path = "${binary}"\n`,
    // More than the machine has: what is tested is not how threads are shared out.
    scheduler: `thread_budget = 16\n${setup.scheduler ?? ""}`,
    models: Object.fromEntries(names.map((name) => [name, toml(name)])),
  });
  const adminSocket = join(assistant.env["ASSISTANT_DATA_DIR"] ?? "", "run", "admin.sock");
  const state = async (): Promise<DaemonStatus> =>
    JSON.parse((await callEngine(adminSocket, adminRoutes.status)).text) as DaemonStatus;
  const pids = async (name: string): Promise<number[]> => {
    const text = await readFile(`${weights(name)}.launches`, "utf8").catch(() => "");
    return text
      .split("\n")
      .filter((line) => line !== "")
      .map((line) => (JSON.parse(line) as { pid: number }).pid);
  };
  const ready = (name: string): Promise<InstanceStatus> =>
    eventually(`${name} is ready`, async () => readyInstances(await state(), name)[0]);
  const socketOf = async (name: string): Promise<string> => (await ready(name)).endpoint ?? "";
  const livingEngines = async (): Promise<number[]> => {
    const all = (await Promise.all(names.map(pids))).flat();
    const alive = await Promise.all(all.map(isRunning));
    return all.filter((_, index) => alive[index]);
  };
  return {
    ...assistant,
    adminSocket,
    modelDir: join(assistant.root, "models"),
    weights,
    toml,
    state,
    ready,
    livingEngines,
    watchEngines() {
      const over = new AbortController();
      let most = 0;
      const watching = (async () => {
        while (!over.signal.aborted) {
          most = Math.max(most, (await livingEngines()).length);
          await delay(WATCH_EVERY_MS);
        }
      })();
      return async () => {
        over.abort();
        await watching;
        return most;
      };
    },
    launches: async (name) => (await pids(name)).length,
    record: async (name) => engineRecord(await socketOf(name)),
    rebuild: ({ patched }) => writeManifest(binary, patched),
    turn: async (name, knobs) => turnKnobs(await socketOf(name), knobs),
    async [Symbol.asyncDispose]() {
      await assistant[Symbol.asyncDispose]();
      await rm(files, { recursive: true, force: true, maxRetries: 3 });
    },
  };
}

/** A folder as `assistant engine build` leaves it, whose program is the fake engine. */
export async function fakeEngineBuild(folder: string): Promise<void> {
  await mkdir(dirname(folder), { recursive: true });
  await writeManifest(await writeProgram(folder), true);
}

/** A program called llama-server, with the manifest that says what it is where it is ours. */
async function writeEngine(files: string, patched: boolean): Promise<string> {
  const binary = await writeProgram(join(files, "engine"));
  if (patched) await writeManifest(binary, true);
  return binary;
}

async function writeProgram(folder: string): Promise<string> {
  const binary = join(folder, "llama-server");
  await mkdir(folder);
  const main = join(packageRoot, "test/fakes/llama-server/main.ts");
  // Every daemon asks for the version, which Node would take fifty times as long for. Absolute, since neither the
  // daemon's nor the engine's PATH need hold the Node that runs the tests.
  await writeFile(
    binary,
    `#!/bin/sh
[ "$1" = --version ] && { printf 'version: 1 (fake)\\nbuilt with nothing for tests\\n' >&2; exit 0; }
NODE_COMPILE_CACHE="${compileCache}" exec "${process.execPath}" "${main}" "$@"
`,
  );
  await chmod(binary, 0o755);
  return binary;
}

const writeManifest = async (binary: string, patched: boolean): Promise<void> =>
  writeFile(join(dirname(binary), "manifest.json"), JSON.stringify(await manifestOf(binary, patched)));

async function recipeOf(patched: boolean): Promise<Recipe> {
  const recipe = await currentRecipe();
  return patched ? recipe : { ...recipe, patches: [] };
}

const manifestOf = async (binary: string, patched: boolean): Promise<object> => ({
  schema: 1,
  engine: "llama-server",
  ...(await recipeOf(patched)),
  sourceCommit: "0",
  backends: ["cpu", "cuda"],
  compiler: "none",
  builtAt: "2026-01-01T00:00:00Z",
  buildSeconds: 0,
  binaryBytes: (await stat(binary)).size,
});

const modelToml = (
  name: string,
  weights: string,
  { kind = "chat", slots = 2, contextTokens = 2048, toml = "" }: FakeModel,
): string =>
  `[${kind}]\nmodel_name = "${name}"\nsource = "${weights}"\nengine = "llama-server"\nctx_size = ${contextTokens}\nslots = ${slots}\nthreads = 1\n${toml}\n`;

/** An answer of the daemon as far as it went. */
export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
}

export interface AskOptions {
  readonly stream?: boolean;
  readonly signal?: AbortSignal;
  readonly more?: Readonly<Record<string, unknown>>;
  readonly headers?: Readonly<Record<string, string>>;
}

/** Opens a chat request; resolves with the head. */
export const open = (url: string, model: string, prompt: string, options: AskOptions = {}): Promise<Response> =>
  fetch(`${url}/v1/chat/completions`, {
    method: "POST",
    headers: { "content-type": "application/json", ...options.headers },
    body: JSON.stringify({
      model,
      messages: [{ role: "user", content: prompt }],
      stream: options.stream ?? false,
      ...options.more,
    }),
    ...(options.signal ? { signal: options.signal } : {}),
  });

/** A whole chat request. */
export async function ask(url: string, model: string, prompt: string, options: AskOptions = {}): Promise<Answer> {
  const response = await open(url, model, prompt, options);
  return { status: response.status, headers: response.headers, text: await response.text() };
}

/** A directive to the fake engine for this request alone. */
export const fake = (knobs: Partial<Knobs>): string => `[[fake ${JSON.stringify(knobs)}]]`;
