import type { InstanceStatus } from "../../../src/api/status.ts";
import { connectIfAnswering } from "../../../src/client/daemon-client.ts";
import { loadConfig } from "../../../src/config/load.ts";
import { sourceText } from "../../../src/config/source.ts";
import type { Config } from "../../../src/core/config.ts";
import type { Hardware } from "../../../src/core/device.ts";
import { type AssistantError, isAssistantError } from "../../../src/core/errors.ts";
import type { Capabilities, ModelSpec } from "../../../src/core/model.ts";
import { offeredBy, offeredByWeights, withProjector } from "../../../src/models/capabilities.ts";
import { fileOf } from "../../../src/models/configure.ts";
import { type ModelFacts, readModelFacts } from "../../../src/models/facts.ts";
import type { FactsCache } from "../../../src/models/facts-cache.ts";
import { readGguf } from "../../../src/models/gguf-header.ts";
import { factsOfStored } from "../../../src/models/known-facts.ts";
import { checkWeights } from "../../../src/models/resolve.ts";
import { listModels, type ModelStore, type StoredModel } from "../../../src/models/store.ts";
import { isVoiceFile } from "../../../src/models/voice.ts";
import type { CommandContext } from "../cli/context.ts";
import { modelStore } from "../stores.ts";

/** A model as `list` and `show` see it: configured, stored, or both. */
export interface InventoryEntry {
  readonly name: string;
  readonly aliases: readonly string[];
  /** Weights, or null where they are not on this machine. */
  readonly file: string | null;
  readonly stored: StoredModel | null;
  readonly config: ModelSpec | null;
  /** What the model file or the manifest says the weights are. */
  readonly source: string;
  readonly loaded: boolean;
}

export interface Inventory {
  readonly entries: readonly InventoryEntry[];
  readonly config: Config | null;
  /** What keeps the configuration from being read. */
  readonly mistake: AssistantError | null;
}

// States in which an engine process holds the weights.
const HOLDING = ["starting", "ready", "draining", "stopping"];

/**
 * Everything that is configured or stored, configured ones first. A broken configuration hides no file. Settings that a
 * model's file leaves open are the daemon's own only with `hardware`, since they depend on cores and GPUs.
 */
export async function takeInventory(context: CommandContext, hardware?: Hardware): Promise<Inventory> {
  const store = modelStore(context.paths);
  const [stored, loaded, read] = await Promise.all([
    listModels(store),
    loadedModels(context),
    configOf(context, hardware),
  ]);
  const configured = await Promise.all(
    (read.config?.models ?? []).map(async (model): Promise<InventoryEntry> => {
      const file = await fileOf(model.source, store);
      return {
        name: model.name,
        aliases: model.aliases,
        file,
        stored: stored.find((entry) => entry.file === file) ?? null,
        config: model,
        source: sourceText(model.source),
        loaded: loaded.has(model.name),
      };
    }),
  );
  const rest = stored.filter((model) => !configured.some((entry) => entry.file === model.file));
  const unused = rest.map((model) => ({
    name: model.name,
    aliases: [],
    file: model.file,
    stored: model,
    config: null,
    source: model.manifest?.reference ?? model.file,
    loaded: false,
  }));
  return { entries: [...configured, ...unused], ...read };
}

/** Names of the providers that serve a model; none where it runs here. */
export const providersOf = (model: ModelSpec | null): readonly string[] =>
  model?.source.type === "provider" ? model.source.offers.map(({ provider }) => provider) : [];

/** Names of the models that a running daemon holds in memory. */
export async function loadedModels(context: CommandContext): Promise<ReadonlySet<string>> {
  const connection = await connectIfAnswering(context.paths);
  return new Set(
    connection?.status.instances
      .filter((instance) => HOLDING.includes(instance.state))
      .map((instance) => instance.model),
  );
}

/** An instance that holds the model's weights, with what it takes on its device. */
export type HoldingInstance = Pick<InstanceStatus, "id" | "memoryBytes" | "estimatedMemoryBytes">;

/** The instances of a model that a running daemon has up or on the way. */
export async function instancesOf(model: string, context: CommandContext): Promise<readonly HoldingInstance[]> {
  const connection = await connectIfAnswering(context.paths);
  const instances =
    connection?.status.instances.filter((instance) => instance.model === model && HOLDING.includes(instance.state)) ??
    [];
  return instances.map(({ id, memoryBytes, estimatedMemoryBytes }) => ({ id, memoryBytes, estimatedMemoryBytes }));
}

/** The program that brings a model's weights itself, or null. */
export function programOf(model: ModelSpec | null): string | null {
  if (model === null) return null;
  return model.command?.run[0] ?? (model.source.type === "opaque" ? model.source.reference : null);
}

/** What an entry's weights are; `facts` null where they are not here or not whole, and `problem` says what is wrong with them. */
export interface Weights {
  readonly facts: ModelFacts | null;
  readonly problem: string | null;
}

export async function weightsOf(
  { file, stored }: Pick<InventoryEntry, "file" | "stored">,
  store: ModelStore,
  files?: FactsCache,
): Promise<Weights> {
  if (file === null) return { facts: null, problem: null };
  try {
    if (isVoiceFile(file)) {
      await checkWeights(file);
      return { facts: null, problem: null };
    }
    if (stored === null && files !== undefined) return { facts: await files.of(file), problem: null };
    // Of a file whose facts are known the header is not read again, but the other parts of the model may be missing.
    if (stored?.manifest?.facts === undefined) await checkWeights(file);
    return { facts: await (stored === null ? readModelFacts(file) : factsOfStored(stored, store)), problem: null };
  } catch (error) {
    if (!isAssistantError(error)) throw error;
    return { facts: null, problem: [error.message, error.remedy ?? []].flat().join(" ") };
  }
}

/** What an entry's model offers, as the daemon says it once it has read the same files. */
export async function capabilitiesIn({ config }: InventoryEntry, facts: ModelFacts | null): Promise<Capabilities> {
  if (config === null) return facts === null ? {} : offeredByWeights(facts.capabilities);
  if (facts === null) return config.capabilities;
  const { projectorPath } = config.load;
  const projector = projectorPath === "" ? null : await readGguf(projectorPath).catch(() => null);
  const { architecture } = facts;
  return offeredBy(config, {
    architecture,
    capabilities: withProjector(facts.capabilities, projector?.capabilities ?? null),
  });
}

async function configOf(
  context: CommandContext,
  hardware: Hardware | undefined,
): Promise<Pick<Inventory, "config" | "mistake">> {
  try {
    return {
      config: await loadConfig({ env: context.env, configFile: context.paths.configFile, hardware }),
      mistake: null,
    };
  } catch (error) {
    if (!isAssistantError(error) || error.code !== "config_invalid") throw error;
    return { config: null, mistake: error };
  }
}
