import { mkdir, readFile, rm, writeFile } from "node:fs/promises";
import path from "node:path";
import { type Environment, variable } from "../config/environment.ts";
import {
  type ProviderPreset,
  type ProviderPresetName,
  providerPresets,
  setKeyVariable,
} from "../config/provider-presets.ts";
import { addressProblem } from "../config/providers.ts";
import { parseToml } from "../config/toml.ts";
import { ensureConfig, modelConfigFile, writeNew } from "../config/write.ts";
import type { Config } from "../core/config.ts";
import type { Hardware } from "../core/device.ts";
import { AssistantError, isAssistantError } from "../core/errors.ts";
import type { ProviderType } from "../core/provider.ts";
import { taken, type Written } from "./model-file.ts";

/** A model of a service, and how it is reached. */
export interface CloudModel {
  /** Name of the model here. */
  readonly name: string;
  readonly provider: CloudProvider;
  /** Name of the model there. */
  readonly modelName: string;
  /** Null: as the service has it; required where that is not known. */
  readonly baseUrl: string | null;
  /** Written into a file that only this user can read; null: it is in the environment, or none is needed. */
  readonly apiKey: string | null;
  /** Environment variable with the key; null: the usual one of the service. */
  readonly apiKeyVariable: string | null;
  /** Longest silence of an answer, seconds; null: the default. */
  readonly timeoutS: number | null;
}

/** Kinds of provider that run models elsewhere. */
export const cloudProviders = ["openai", "anthropic", "google", "openai_compatible", "litellm"] as const;
export type CloudProvider = (typeof cloudProviders)[number];

export const isCloudProvider = (provider: string): provider is CloudProvider =>
  (cloudProviders as readonly string[]).includes(provider);

const PROVIDER_NAME = /^[A-Za-z0-9][\w.-]{0,63}$/;
const KEY = /^[\x21-\x7e]{1,4096}$/;

/** Folder of the registered keys, next to config.toml. */
const KEY_FOLDER = "provider-keys";

/**
 * Writes the file of a model of a service, and a `[[providers]]` entry where none reaches the service with this key.
 * Throws
 * `model_exists`, and `invalid_request` for an address or a key that is missing.
 */
export async function writeCloudModel(
  model: CloudModel,
  config: Config,
  hardware: Hardware,
  env: Environment,
): Promise<Written> {
  if (model.apiKey !== null && !KEY.test(model.apiKey))
    throw new AssistantError("invalid_request", "The key is not one line of printable characters.", {
      param: "config.api_key",
    });
  const target = targetOf(model, env);
  const known = config.providers.find(
    (each) =>
      each.type === target.type &&
      each.baseUrl === target.baseUrl &&
      (model.apiKey === null
        ? target.keyVariable === null || each.keySource?.endsWith(` ${target.keyVariable}`) === true
        : each.apiKey === model.apiKey),
  );
  const entry = known === undefined ? await addProvider(model, target, config, hardware) : null;
  const file = modelConfigFile(config.paths, model.name);
  try {
    await writeNew(file, modelText(model, known?.name ?? entry?.name ?? ""), { force: false });
  } catch (error) {
    await entry?.undo();
    if (isAssistantError(error) && error.code === "file_exists") throw taken(model.name, file);
    throw error;
  }
  return {
    file,
    async undo() {
      await rm(file, { force: true });
      await entry?.undo();
    },
  };
}

interface Target {
  readonly type: ProviderType;
  readonly baseUrl: string;
  readonly keyVariable: string | null;
  /** The ready entry for it, or null. */
  readonly preset: ProviderPresetName | null;
}

/** The service's address and the source of its key. */
function targetOf({ provider, baseUrl, apiKey, apiKeyVariable }: CloudModel, env: Environment): Target {
  const own = provider === "openai_compatible" || provider === "litellm" ? null : provider;
  const type: ProviderType = own === "anthropic" || own === "google" ? own : "openai-compatible";
  const address = (baseUrl ?? (own === null ? null : providerPresets[own].baseUrl))?.replace(/\/+$/, "") ?? null;
  const problem = address === null ? "is missing" : addressProblem(address);
  if (address === null || problem !== null)
    throw new AssistantError("invalid_request", `"config.base_url", the address of the service: ${problem}.`, {
      param: "config.base_url",
      remedy: 'Write it with the version, such as "https://api.example.com/v1".',
    });
  const preset =
    (Object.entries(providerPresets) as [ProviderPresetName, ProviderPreset][]).find(
      ([, each]) => each.type === type && each.baseUrl === address,
    )?.[0] ?? null;
  const usual = preset === null ? null : providerPresets[preset].keyVariable;
  const keyVariable = apiKey === null ? setVariable(apiKeyVariable ?? usual, env) : null;
  return { type, baseUrl: address, keyVariable, preset };
}

/** The variable that holds the key: this one, or another of the same meaning. Throws where neither is set. */
function setVariable(name: string | null, env: Environment): string | null {
  if (name === null) return null;
  const other = setKeyVariable(name, env);
  if (variable(env, other) !== null) return other;
  throw new AssistantError("invalid_request", `The environment variable ${name} is not set.`, {
    param: "config.api_key",
    remedy: `Set ${name} in the daemon's environment and restart it, or give the key itself.`,
  });
}

async function addProvider(
  model: CloudModel,
  target: Target,
  { paths, providers, remotes }: Config,
  hardware: Hardware,
): Promise<{ readonly name: string; undo(): Promise<void> }> {
  const inUse = new Set([...providers, ...remotes].map((each) => each.name));
  const candidates = [...(target.preset === null ? [] : [target.preset]), model.name, `${model.name}-provider`];
  const name = candidates.find((each) => PROVIDER_NAME.test(each) && !inUse.has(each));
  if (name === undefined) throw taken(model.name, paths.configFile);
  await ensureConfig(paths, hardware);
  const before = await readFile(paths.configFile, "utf8");
  const keyFile = model.apiKey === null ? null : path.join(path.dirname(paths.configFile), KEY_FOLDER, `${name}.key`);
  const after = `${before.trimEnd()}\n\n${entryText(name, model, target, keyFile !== null)}`;
  try {
    parseToml(paths.configFile, after);
  } catch {
    throw new AssistantError(
      "invalid_request",
      `${paths.configFile} is laid out so that no provider can be added to it.`,
      {
        remedy: `Add a provider for ${target.baseUrl} to that file yourself.`,
      },
    );
  }
  if (keyFile !== null) {
    await mkdir(path.dirname(keyFile), { recursive: true, mode: 0o700 });
    await writeFile(keyFile, `${model.apiKey}\n`, { mode: 0o600 });
  }
  await writeNew(paths.configFile, after, { force: true });
  return {
    name,
    async undo() {
      await writeNew(paths.configFile, before, { force: true });
      if (keyFile !== null) await rm(keyFile, { force: true });
    },
  };
}

/** Models that were not registered are not offered: `discovery` is off. */
function entryText(name: string, { timeoutS }: CloudModel, target: Target, hasKeyFile: boolean): string {
  const { preset, type, baseUrl, keyVariable } = target;
  const lines = [
    ["name", name],
    ...(preset === null
      ? [
          ["type", type],
          ["base_url", baseUrl],
        ]
      : [["preset", preset]]),
    ...(hasKeyFile ? [["api_key_file", `${KEY_FOLDER}/${name}.key`]] : []),
    ...(keyVariable === null || (preset !== null && providerPresets[preset].keyVariable === keyVariable)
      ? []
      : [["api_key_env", keyVariable]]),
    ...(timeoutS === null ? [] : [["timeout_s", timeoutS]]),
    ["discovery", false],
  ];
  return `[[providers]]\n${lines.map(([key, value]) => `${key} = ${JSON.stringify(value)}\n`).join("")}`;
}

const modelText = ({ name, modelName }: CloudModel, provider: string): string =>
  [
    `# The model ${name}, which a provider runs; docs/providers.md describes the keys.`,
    "",
    "[chat]",
    `model_name = ${JSON.stringify(name)}`,
    "# A [[providers]] entry of config.toml.",
    `provider = ${JSON.stringify(provider)}`,
    `provider_model = ${JSON.stringify(modelName)}`,
    "",
  ].join("\n");
