import type { Config } from "../../../src/core/config.ts";
import type { Hardware } from "../../../src/core/device.ts";
import { DEFAULT_ENGINE } from "../../../src/core/engine.ts";
import type { EngineId, ModelSpec } from "../../../src/core/model.ts";
import type { ModelFacts } from "../../../src/models/facts.ts";
import type { FitSettings } from "../../../src/models/fit.ts";
import type { CommandContext } from "../cli/context.ts";
import { enginesOf } from "../engines.ts";

// A model that is not configured is estimated with one conversation of default length.
const USUAL = {
  contextTokens: 4096,
  slots: 1,
  microBatchTokens: 512,
  gpuLayers: 0,
  cacheTypeK: "f16",
  cacheTypeV: "f16",
};

/**
 * What would run the model here, by which its program's own memory differs; as the daemon does, the native one where
 * none can.
 */
async function engineFor(model: ModelSpec | null, config: Config | null, context: CommandContext): Promise<EngineId> {
  const engines = enginesOf(context, config);
  return (await engines.choose(model ?? { engine: "auto" }).catch(() => null))?.id ?? DEFAULT_ENGINE;
}

interface Machine {
  readonly hardware: Hardware;
  readonly config: Config | null;
  readonly context: CommandContext;
}

/** The settings with which an instance would be started here. */
export async function loadOf(
  config: ModelSpec | null,
  facts: ModelFacts,
  { hardware: { devices }, ...machine }: Machine,
): Promise<FitSettings> {
  const engine = await engineFor(config, machine.config, machine.context);
  const {
    contextTokens,
    slots,
    microBatchTokens,
    gpuLayers: wanted,
    cacheTypeK,
    cacheTypeV,
  } = config?.load ?? {
    ...USUAL,
    contextTokens: Math.min(USUAL.contextTokens, facts.trainContextTokens ?? USUAL.contextTokens),
  };
  // Layers are only placed on a GPU that exists, whatever the model's file requests.
  const gpuLayers = devices.some((device) => device.vendor !== "cpu") && config?.devices.join() !== "cpu" ? wanted : 0;
  return {
    contextTokens,
    slots,
    microBatchTokens,
    gpuLayers,
    cacheTypeK,
    cacheTypeV,
    kind: config?.kind ?? facts.kind,
    engine,
    cpuMoeLayers: config?.load.llama.cpuMoeLayers ?? 0,
  };
}
