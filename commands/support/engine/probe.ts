import { mkdir, mkdtempDisposable, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { loadConfig } from "../../../src/config/load.ts";
import type { Device, Hardware } from "../../../src/core/device.ts";
import { AssistantError } from "../../../src/core/errors.ts";
import type { ModelSpec } from "../../../src/core/model.ts";
import { supportsDevice } from "../../../src/engines/backends.ts";
import { createLlamaServerEngine } from "../../../src/engines/llama-server/engine.ts";
import { inspectLlamaServer } from "../../../src/engines/llama-server/installation.ts";
import { createEngineProbe } from "../../../src/engines/surface.ts";
import { writeTinyModel } from "../../../src/engines/tiny-model.ts";
import { withTrialEngine } from "../../../src/fleet/trial.ts";
import { checkWeights, resolveWeights } from "../../../src/models/resolve.ts";
import { listedOnce, type ModelStore } from "../../../src/models/store.ts";
import type { CommandContext } from "../cli/context.ts";
import { modelStore } from "../stores.ts";

/** Larger ones take longer than a check should, and memory that running models need. */
const MAX_PROBE_BYTES = 2e9;
/** Of a GPU's free memory, for the weights and what comes with them. */
const ROOM = 2;

interface ProbeModel {
  readonly model: ModelSpec;
  readonly file: string;
  readonly bytes: number;
}

/**
 * The check of a new llama-server: it generates one token with the smallest configured model whose weights are here, on
 * a GPU if it was built for one. Without such a model, it uses a generated one. The returned function rejects with the
 * reason.
 */
export function probeWith(context: CommandContext, hardware: Hardware, signal: AbortSignal) {
  return async (program: string): Promise<void> => {
    const found = await inspectLlamaServer(program, "other build");
    if (!found.available) throw new AssistantError("engine_unavailable", found.reason);
    await using check = await mkdtempDisposable(join(tmpdir(), "assistant-check-"));
    const { model, file, bytes } = (await smallestModel(context)) ?? (await tinyModel(check.path, context));
    const engine = createLlamaServerEngine(async () => found);
    await engine.availability();
    const hasRoom = (device: Device): boolean =>
      device.vendor === "cpu" || device.memoryFreeBytes > bytes * ROOM + MAX_PROBE_BYTES;
    const device = hardware.devices.find((candidate) => supportsDevice(found, candidate) && hasRoom(candidate));
    if (device === undefined) return;
    const trial = { engine, model, modelPath: file, device, threads: 1, probe: createEngineProbe(), env: context.env };
    // Ready means that it has answered one token.
    await withTrialEngine(trial, signal, async () => {});
  };
}

async function tinyModel(folder: string, { env }: CommandContext): Promise<ProbeModel> {
  const [file, configFile] = [join(folder, "check.gguf"), join(folder, "config.toml")];
  await Promise.all([writeTinyModel(file), mkdir(join(folder, "models")), writeFile(configFile, "")]);
  const settings = ["[chat]", `source = ${JSON.stringify(file)}`, "ctx_size = 256", "slots = 1", "n_gpu_layers = 100"];
  await writeFile(join(folder, "models", "check.toml"), `${settings.join("\n")}\n`);
  const [model] = (await loadConfig({ env, configFile })).models;
  if (model === undefined) throw new AssistantError("internal", "The settings of the test model cannot be read.");
  return { model, file, bytes: (await stat(file)).size };
}

async function smallestModel({ env, paths }: CommandContext): Promise<ProbeModel | null> {
  const config = await loadConfig({ env, configFile: paths.configFile }).catch(() => null);
  const store = listedOnce(modelStore(paths));
  const candidates = await Promise.all((config?.models ?? []).map((model) => weightsOf(model, store)));
  const [smallest] = candidates.filter((found) => found !== null).sort((one, other) => one.bytes - other.bytes);
  return smallest ?? null;
}

/** Null where the weights are not here, are damaged or large: none of that says anything about the engine. */
async function weightsOf(model: ModelSpec, store: ModelStore): Promise<ProbeModel | null> {
  if (model.load.extraArgs.length > 0 || model.engine === "node-llama-cpp") return null;
  try {
    const file = await resolveWeights(model.source, store);
    await checkWeights(file);
    const { size } = await stat(file);
    return size > MAX_PROBE_BYTES ? null : { model, file, bytes: size };
  } catch {
    return null;
  }
}
