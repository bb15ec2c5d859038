import { variable } from "../../../src/config/environment.ts";
import { loadConfig } from "../../../src/config/load.ts";
import type { Config } from "../../../src/core/config.ts";
import type { Device, Hardware } from "../../../src/core/device.ts";
import type { Engine } from "../../../src/core/engine.ts";
import { AssistantError } from "../../../src/core/errors.ts";
import { type ModelSpec, modelKinds } from "../../../src/core/model.ts";
import { nearestNames } from "../../../src/core/nearest.ts";
import { createEngines, supportsDevice } from "../../../src/engines/index.ts";
import { probeHardware } from "../../../src/fleet/hardware.ts";
import { resolveWeights } from "../../../src/models/resolve.ts";
import type { CommandContext } from "../cli/context.ts";
import { engineFolder, modelStore } from "../stores.ts";

/** The model that is tuned and what it runs on. */
export interface Target {
  readonly model: ModelSpec;
  readonly modelPath: string;
  readonly engine: Engine;
  readonly device: Device;
  readonly hardware: Hardware;
  readonly config: Config;
}

/** Throws `model_not_found`, `model_not_pulled`, `engine_unavailable`, `config_invalid`. */
export async function findTarget(name: string, { env, paths }: CommandContext): Promise<Target> {
  const hardware = await probeHardware(env);
  const config = await loadConfig({ env, configFile: paths.configFile, hardware });
  const model =
    config.models.find((known) => known.name === name) ?? config.models.find((known) => known.aliases.includes(name));
  if (model === undefined) throw notConfigured(name, config);
  if (model.engine === "command") {
    throw new AssistantError("config_invalid", `${model.name} is run by another program, whose settings are unknown.`, {
      param: name,
      remedy: `They are in \`run\` under [command] of ${model.file}.`,
    });
  }
  if (model.kind === "speech" || model.kind === "transcription")
    throw new AssistantError(
      "config_invalid",
      `${model.name} is ${modelKinds[model.kind].noun}, whose speed cannot be measured.`,
      {
        param: name,
        remedy: "Choose a chat or an embedding model.",
      },
    );
  const modelPath = await resolveWeights(model.source, modelStore(config.paths));
  const pathVariable = variable(env, "PATH") ?? "";
  const engines = createEngines({
    folder: engineFolder(config.paths),
    llamaServerPath: config.llamaServerPath,
    pathVariable,
    nodePath: process.execPath,
  });
  const engine = await engines.choose(model);
  const availability = await engine.availability();
  const allowed = devicesOf(model, hardware);
  const device = allowed.find((candidate) => supportsDevice(availability, candidate));
  if (device === undefined) {
    throw new AssistantError(
      "engine_unavailable",
      `${engine.id} supports none of the devices that ${model.name} may use.`,
      {
        param: "devices",
        remedy: `\`assistant doctor\` lists devices and engines; ${model.file} sets the model's devices.`,
      },
    );
  }
  return { model, modelPath, engine, device, hardware, config };
}

/** The same ones that the daemon would use: those it names, otherwise the GPUs, otherwise the CPU. */
function devicesOf({ devices: named }: ModelSpec, { devices }: Hardware): readonly Device[] {
  if (named.length > 0) return devices.filter(({ id }) => named.includes(id));
  const gpus = devices.filter(({ vendor }) => vendor !== "cpu");
  return gpus.length > 0 ? gpus : devices;
}

function notConfigured(name: string, config: Config): AssistantError {
  const broken = config.notices.find(({ severity, file }) => severity === "error" && file.endsWith(`/${name}.toml`));
  if (broken !== undefined)
    return new AssistantError("config_invalid", `${broken.file}:${broken.line ?? 1}: ${broken.message}`);
  const near = nearestNames(
    name,
    config.models.map((known) => known.name),
  );
  return new AssistantError("model_not_found", `No configured model is called ${JSON.stringify(name)}.`, {
    param: name,
    remedy:
      near.length > 0
        ? `Did you mean ${near.join(" or ")}?`
        : `\`assistant pull ${name}\` or \`assistant init --model-config ${name}\` configures one.`,
  });
}
