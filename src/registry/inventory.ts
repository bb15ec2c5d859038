import PQueue from "p-queue";
import type { ListedModel } from "../api/models.ts";
import { sourceText } from "../config/source.ts";
import { isAssistantError } from "../core/errors.ts";
import type { Capabilities, ModelSpec } from "../core/model.ts";
import { offeredBy, offeredByWeights, withProjector } from "../models/capabilities.ts";
import { fileOf } from "../models/configure.ts";
import { type ModelFacts, readModelFacts, readStoredFacts } from "../models/facts.ts";
import type { ReadHeader } from "../models/gguf-header.ts";
import { checkWeights } from "../models/resolve.ts";
import { listedOnce, listModels, type ModelStore, type StoredModel } from "../models/store.ts";
import { isVoiceFile } from "../models/voice.ts";

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

/** States in which an engine process holds the weights. */
const HOLDING = ["starting", "ready", "draining", "stopping"];

export const isHolding = ({ state }: { readonly state: string }): boolean => HOLDING.includes(state);

/** Names of the models that instances hold in memory. */
export const loadedIn = (instances: readonly { readonly model: string; readonly state: string }[]): Set<string> =>
  new Set(instances.filter(isHolding).map(({ model }) => model));

/** Everything that is configured or stored, configured ones first. `loaded`: names of the models in memory. */
export async function inventoryOf(
  models: readonly ModelSpec[],
  store: ModelStore,
  loaded: ReadonlySet<string>,
): Promise<InventoryEntry[]> {
  const once = listedOnce(store);
  const stored = await listModels(once);
  const byFile = new Map(stored.map((model) => [model.file, model]));
  const configured = await Promise.all(
    models.map(async (model): Promise<InventoryEntry> => {
      const file = await fileOf(model.source, once);
      return {
        name: model.name,
        aliases: model.aliases,
        file,
        stored: (file === null ? undefined : byFile.get(file)) ?? null,
        config: model,
        source: sourceText(model.source),
        loaded: loaded.has(model.name),
      };
    }),
  );
  const used = new Set(configured.map(({ file }) => file));
  const unused = stored
    .filter((model) => !used.has(model.file))
    .map((model) => ({
      name: model.name,
      aliases: [],
      file: model.file,
      stored: model,
      config: null,
      source: model.manifest?.reference ?? model.file,
      loaded: false,
    }));
  return [...configured, ...unused];
}

/** Names of the providers that serve a model; none where it runs here. */
export const providersOf = (model: ModelSpec | null): string[] =>
  model?.source.type === "provider" ? model.source.offers.map(({ provider }) => provider) : [];

/** The program that brings a model's weights itself, or null. */
export function programOf(model: ModelSpec | null): string | null {
  if (model === null) return null;
  return model.command?.run[0] ?? (model.source.type === "opaque" ? model.source.reference : null);
}

/**
 * What an entry's weights are; `facts` null where they are not here or not whole, and `problem` says what is wrong with
 * them.
 */
export interface Weights {
  readonly facts: ModelFacts | null;
  readonly problem: string | null;
}

export async function weightsOf(
  { file, stored }: Pick<InventoryEntry, "file" | "stored">,
  read: ReadHeader,
): Promise<Weights> {
  if (file === null) return { facts: null, problem: null };
  try {
    await checkWeights(file, undefined, read);
    if (isVoiceFile(file)) return { facts: null, problem: null };
    return {
      facts: await (stored === null ? readModelFacts(file, read) : readStoredFacts(stored, read)),
      problem: null,
    };
  } catch (error) {
    if (!isAssistantError(error)) throw error;
    return { facts: null, problem: [error.message, error.remedy ?? []].flat().join(" ") };
  }
}

/** What an entry's model offers, as the daemon says it once it has read the same files. */
export async function capabilitiesIn(
  { config }: InventoryEntry,
  facts: ModelFacts | null,
  read: ReadHeader,
): Promise<Capabilities> {
  if (config === null) return facts === null ? {} : offeredByWeights(facts.capabilities);
  if (facts === null) return config.capabilities;
  const { projectorPath } = config.load;
  const projector = projectorPath === "" ? null : await read(projectorPath).catch(() => null);
  const { architecture } = facts;
  return offeredBy(config, {
    architecture,
    capabilities: withProjector(facts.capabilities, projector?.capabilities ?? null),
  });
}

// A header holds the whole vocabulary: megabytes each while it is read, of which a collection has hundreds.
const HEADERS_AT_ONCE = 4;

/** The entries with facts from their weights. `onRead`: how many of all have been read. */
export async function describeEntries(
  entries: readonly InventoryEntry[],
  read: ReadHeader,
  onRead: (done: number, all: number) => void = () => {},
): Promise<ListedModel[]> {
  const reading = new PQueue({ concurrency: HEADERS_AT_ONCE });
  let done = 0;
  const one = async (entry: InventoryEntry): Promise<ListedModel> => {
    const model = await describe(entry, read);
    onRead(++done, entries.length);
    return model;
  };
  return await reading.addAll(entries.map((entry) => () => one(entry)));
}

async function describe(entry: InventoryEntry, read: ReadHeader): Promise<ListedModel> {
  const { facts, problem } = await weightsOf(entry, read);
  return {
    name: entry.name,
    aliases: [...entry.aliases],
    kind: entry.config?.kind ?? facts?.kind ?? null,
    capabilities: { ...(await capabilitiesIn(entry, facts, read)) },
    bytes: entry.stored?.bytes ?? facts?.bytes ?? null,
    quantization: facts?.quantization ?? null,
    trainContextTokens: facts?.trainContextTokens ?? null,
    source: entry.source,
    program: programOf(entry.config),
    file: entry.file,
    // A voice has no facts of this kind.
    readable: facts !== null || (entry.file !== null && problem === null),
    problem,
    contextTokens: entry.config?.load.contextTokens || null,
    pulledAt: entry.stored?.modifiedAt ?? null,
    configured: entry.config !== null,
    loaded: entry.loaded,
    providers: providersOf(entry.config),
  };
}
