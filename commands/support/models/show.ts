import { variable } from "../../../src/config/environment.ts";
import type { Config } from "../../../src/core/config.ts";
import type { Hardware } from "../../../src/core/device.ts";
import { DEFAULT_ENGINE } from "../../../src/core/engine.ts";
import { AssistantError } from "../../../src/core/errors.ts";
import type { EngineId, ModelSpec } from "../../../src/core/model.ts";
import { nearestNames } from "../../../src/core/nearest.ts";
import { createEngines } from "../../../src/engines/index.ts";
import { probeHardware } from "../../../src/fleet/hardware.ts";
import { catalogEntry } from "../../../src/models/catalog.ts";
import { aboveTrained } from "../../../src/models/context.ts";
import type { ModelFacts } from "../../../src/models/facts.ts";
import { estimateMemory, type FitSettings, type MemoryEstimate } from "../../../src/models/fit.ts";
import { formatBytes, formatParameters } from "../../../src/models/format.ts";
import type { CommandContext } from "../cli/context.ts";
import { engineFolder, modelStore } from "../stores.ts";
import { elsewhereNamed, type ModelElsewhere, modelsElsewhere } from "./elsewhere.ts";
import {
  type HoldingInstance,
  type InventoryEntry,
  instancesOf,
  providersOf,
  takeInventory,
  weightsOf,
} from "./inventory.ts";
import { presetsOf } from "./presets.ts";

/** What `show --json` prints. */
export interface ShownModel {
  readonly name: string;
  readonly aliases: readonly string[];
  readonly source: string;
  /** Program of its own that runs it (`engine = "command"`), or null. */
  readonly program: string | null;
  readonly file: string | null;
  readonly bytes: number | null;
  /** Null where the file was not pulled. */
  readonly sha256: string | null;
  readonly licence: string | null;
  /** Where the bytes came from. */
  readonly origin: string | null;
  readonly facts: ModelFacts | null;
  /** What is wrong with the file, or null. */
  readonly problem: string | null;
  readonly loaded: boolean;
  /** The model file (TOML), or null where it is not configured. */
  readonly configFile: string | null;
  readonly load: FitSettings | null;
  readonly memory: MemoryEstimate | null;
  /** Instances of a running daemon, with what they were measured to take. */
  readonly instances: readonly HoldingInstance[];
  /** Providers that serve it; none where it runs here. */
  readonly providers: readonly string[];
}

/** Everything known of a configured, stored or catalog model. Throws `model_not_found`. */
export async function shownModel(name: string, context: CommandContext): Promise<ShownModel> {
  const hardware = await probeHardware(context.env);
  const { entries, config } = await takeInventory(context, hardware);
  const entry =
    entries.find((known) => known.name === name || known.aliases.includes(name)) ??
    entries.find((known) => known.stored?.name === name);
  if (entry === undefined) return await ofCatalog(name, entries, context);
  const { facts, problem } = await weightsOf(entry, modelStore(context.paths));
  const load =
    facts === null ? null : settingsOf(entry.config, facts, hardware, await engineFor(entry.config, config, context));
  const manifest = entry.stored?.manifest ?? null;
  return {
    name: entry.name,
    aliases: entry.aliases,
    source: entry.source,
    program: entry.config?.command?.run[0] ?? null,
    file: entry.file,
    bytes: entry.stored?.bytes ?? facts?.bytes ?? null,
    sha256: manifest?.sha256 ?? null,
    licence: manifest?.licence ?? facts?.licence ?? null,
    origin: manifest?.source ?? null,
    facts,
    problem,
    loaded: entry.loaded,
    configFile: entry.config?.file ?? null,
    load,
    memory: load === null || entry.file === null ? null : await estimateMemory(entry.file, load),
    instances: entry.loaded ? await instancesOf(entry.name, context) : [],
    providers: providersOf(entry.config),
  };
}

async function ofCatalog(
  name: string,
  entries: readonly InventoryEntry[],
  context: CommandContext,
): Promise<ShownModel> {
  const entry = catalogEntry(name) ?? (await ofPreset(name, context));
  if (entry === null) {
    const elsewhere = elsewhereNamed(await modelsElsewhere(context), name);
    if (elsewhere?.provider != null) return ofProvider(elsewhere, elsewhere.provider);
    const [node] = elsewhere?.nodes ?? [];
    if (elsewhere !== undefined && node !== undefined)
      throw new AssistantError(
        "model_not_found",
        `The model ${JSON.stringify(name)} is not on this machine; it is served by ${elsewhere.nodes.join(", ")}.`,
        {
          param: name,
          remedy: `\`assistant run ${name}\` uses it there, \`assistant pull ${elsewhere.name} --from ${node}\` brings it here.`,
        },
      );
    const near = nearestNames(name, new Set(entries.map((known) => known.name)));
    throw new AssistantError(
      "model_not_found",
      `There is no model ${JSON.stringify(name)}: it is neither configured, nor pulled, nor known by name.`,
      {
        param: name,
        remedy: near.length > 0 ? `Did you mean ${near.join(" or ")}?` : "`assistant list` shows what there is.",
      },
    );
  }
  const { bytes, sha256, licence } = entry;
  return { ...NOTHING_HERE, name: entry.name, source: entry.name, bytes, sha256, licence };
}

/** What is known of a preset before it is pulled: sizes and digests are the hub's to say. */
async function ofPreset(
  name: string,
  context: CommandContext,
): Promise<{ name: string; bytes: null; sha256: null; licence: string | null } | null> {
  const preset = (await presetsOf(context)).find(name);
  if (preset === null || preset.kind === "cloud") return null;
  return { name: preset.name, bytes: null, sha256: null, licence: preset.licence };
}

const ofProvider = ({ name }: ModelElsewhere, provider: string): ShownModel => ({
  ...NOTHING_HERE,
  name,
  source: `${provider}: ${name.slice(provider.length + 1)}`,
  providers: [provider],
});

const NOTHING_HERE = {
  aliases: [],
  program: null,
  file: null,
  bytes: null,
  sha256: null,
  licence: null,
  origin: null,
  facts: null,
  problem: null,
  loaded: false,
  configFile: null,
  load: null,
  memory: null,
  instances: [],
  providers: [],
} as const;

// A model that is not configured is estimated with one conversation of default length.
const USUAL = {
  contextTokens: 4096,
  slots: 1,
  microBatchTokens: 512,
  gpuLayers: 0,
  cacheTypeK: "f16",
  cacheTypeV: "f16",
};

/** What would run the model here, by which its program's own memory differs; as the daemon does, the native one where none can. */
async function engineFor(
  model: ModelSpec | null,
  config: Config | null,
  { env, paths }: CommandContext,
): Promise<EngineId> {
  const pathVariable = variable(env, "PATH") ?? "";
  const engines = createEngines({
    folder: engineFolder(paths),
    llamaServerPath: config?.llamaServerPath ?? null,
    pathVariable,
    nodePath: process.execPath,
  });
  return (await engines.choose(model ?? { engine: "auto" }).catch(() => null))?.id ?? DEFAULT_ENGINE;
}

function settingsOf(config: ModelSpec | null, facts: ModelFacts, { devices }: Hardware, engine: EngineId): FitSettings {
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
  // Layers go where there is a GPU for them, whatever the model's file asks for.
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
  };
}

/** The same for people: pairs of a word and what it is. */
export function showRows(model: ShownModel): string[][] {
  const { facts, load, memory } = model;
  const rows: [string, string | null][] = [
    ["name", [model.name, ...model.aliases].join(", ")],
    ["title", facts?.title ?? null],
    ["kind", facts?.kind ?? null],
    ["architecture", facts?.architecture ?? null],
    ["parameters", facts === null ? null : formatParameters(facts.parameters)],
    ["quantization", facts?.quantization ?? null],
    ["layers", numberText(facts?.layers)],
    ["trained context", numberText(facts?.trainContextTokens, " tokens")],
    ["context", load === null ? null : contextText(load.contextTokens, facts?.trainContextTokens ?? null)],
    ["embedding length", numberText(facts?.embeddingLength)],
    ["chat template", facts === null ? null : facts.hasChatTemplate ? "in the file" : "none"],
    ["pooling", facts?.pooling ?? null],
    ["licence", model.licence],
    ["size", model.bytes === null ? null : `${formatBytes(model.bytes)} (${model.bytes} bytes)`],
    [model.providers.length > 0 ? "served by" : "source", model.source],
    ["came from", model.origin],
    ["program", model.program],
    [
      "file",
      model.file ??
        (model.program === null && model.providers.length === 0
          ? `not on this machine; \`assistant pull ${model.source}\` brings it`
          : null),
    ],
    ["problem", model.problem],
    ["sha256", model.sha256],
    ["configured in", model.configFile ?? "nothing yet"],
    ["loaded", model.providers.length > 0 ? null : model.loaded ? "yes" : "no"],
    ["memory", memory === null || load === null ? null : memoryText(memory, load)],
    ...model.instances.map((instance): [string, string] => ["measured", measuredText(instance)]),
  ];
  return rows.filter((row): row is [string, string] => row[1] !== null);
}

const contextText = (contextTokens: number, trained: number | null): string =>
  trained === null || contextTokens <= trained
    ? `${contextTokens} tokens`
    : `${contextTokens} tokens: ${aboveTrained(contextTokens, trained)}`;

function memoryText({ weights, cache, compute, total }: MemoryEstimate, load: FitSettings): string {
  const place = (share: { hostBytes: number; gpuBytes: number }): string =>
    formatBytes(share.hostBytes + share.gpuBytes);
  const gpu = total.gpuBytes > 0 ? `, ${formatBytes(total.gpuBytes)} of it on the GPU` : "";
  return `about ${place(total)}${gpu}: weights ${place(weights)}, cache ${place(cache)} (${load.slots} × ${load.contextTokens} tokens), work ${place(compute)}`;
}

function measuredText({ id, memoryBytes, estimatedMemoryBytes }: HoldingInstance): string {
  const estimated = estimatedMemoryBytes === null ? "" : `, estimated ${formatBytes(estimatedMemoryBytes)}`;
  return `${memoryBytes === null ? "not yet" : formatBytes(memoryBytes)}${estimated} (${id})`;
}

const numberText = (value: number | null | undefined, unit = ""): string | null =>
  value === null || value === undefined ? null : `${value}${unit}`;
