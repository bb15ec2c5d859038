import { stat } from "node:fs/promises";
import { loadConfig } from "../../../src/config/load.ts";
import type { Device, Hardware } from "../../../src/core/device.ts";
import { AssistantError } from "../../../src/core/errors.ts";
import type { ModelSpec } from "../../../src/core/model.ts";
import { supportsDevice } from "../../../src/engines/backends.ts";
import { createLlamaServerEngine } from "../../../src/engines/llama-server/engine.ts";
import { inspectLlamaServer } from "../../../src/engines/llama-server/installation.ts";
import { createEngineProbe } from "../../../src/engines/surface.ts";
import { withTrialEngine } from "../../../src/fleet/trial.ts";
import { checkWeights, resolveWeights } from "../../../src/models/resolve.ts";
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
 * The check of a new llama-server: it starts, and answers one token with the smallest configured model whose weights are
 * here. Without such a model its start is all that is tried. The returned function rejects with the reason.
 */
export function probeWith(context: CommandContext, hardware: Hardware, signal: AbortSignal) {
  return async (program: string): Promise<void> => {
    const found = await inspectLlamaServer(program, "other build");
    if (!found.available) throw new AssistantError("engine_unavailable", found.reason);
    const chosen = await smallestModel(context);
    if (chosen === null) return;
    const { model, file, bytes } = chosen;
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

async function smallestModel({ env, paths }: CommandContext): Promise<ProbeModel | null> {
  const config = await loadConfig({ env, configFile: paths.configFile }).catch(() => null);
  const candidates = await Promise.all((config?.models ?? []).map((model) => weightsOf(model, { env, paths })));
  const [smallest] = candidates.filter((found) => found !== null).sort((one, other) => one.bytes - other.bytes);
  return smallest ?? null;
}

/** Null where the weights are not here, are damaged or large: none of that says anything about the engine. */
async function weightsOf(
  model: ModelSpec,
  { paths }: Pick<CommandContext, "env" | "paths">,
): Promise<ProbeModel | null> {
  if (model.load.extraArgs.length > 0 || model.engine === "node-llama-cpp") return null;
  try {
    const file = await resolveWeights(model.source, modelStore(paths));
    await checkWeights(file);
    const { size } = await stat(file);
    return size > MAX_PROBE_BYTES ? null : { model, file, bytes: size };
  } catch {
    return null;
  }
}
