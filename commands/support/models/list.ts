import PQueue from "p-queue";
import type { Capabilities } from "../../../src/core/model.ts";
import { aboveTrained } from "../../../src/models/context.ts";
import type { FactsCache } from "../../../src/models/facts-cache.ts";
import { formatAge, formatBytes } from "../../../src/models/format.ts";
import type { ModelStore } from "../../../src/models/store.ts";
import { offersLines } from "../../../src/ui/providers-text.ts";
import type { CommandContext } from "../cli/context.ts";
import { factsCache, modelStore } from "../stores.ts";
import { type ModelElsewhere, modelsElsewhere } from "./elsewhere.ts";
import { capabilitiesIn, type InventoryEntry, programOf, providersOf, takeInventory, weightsOf } from "./inventory.ts";

/** One model as `list --json` prints it. */
export interface ListedModel {
  readonly name: string;
  readonly aliases: readonly string[];
  readonly kind: string | null;
  /** What it offers, as far as its configuration and its weights say. */
  readonly capabilities: Capabilities;
  readonly bytes: number | null;
  readonly quantization: string | null;
  readonly trainContextTokens: number | null;
  readonly source: string;
  /** Program that runs it (`engine = "command"`), or null. */
  readonly program: string | null;
  readonly file: string | null;
  /** The file is here and is a model; a damaged one is not. */
  readonly readable: boolean;
  /** What is wrong with the file, or null. */
  readonly problem: string | null;
  /** Of one request, as configured; null where the model is not. */
  readonly contextTokens: number | null;
  /** Epoch milliseconds, or null. */
  readonly pulledAt: number | null;
  readonly configured: boolean;
  readonly loaded: boolean;
  /** Providers that serve it; none where it runs here. */
  readonly providers: readonly string[];
}

export interface ModelList {
  readonly models: readonly ListedModel[];
  /** What only other machines or providers have. */
  readonly elsewhere: readonly ModelElsewhere[];
  readonly problem: string | null;
}

// A header holds the whole vocabulary: tens of megabytes each while it is read, of which a collection has hundreds.
const HEADERS_AT_ONCE = 4;

/** `onRead`: so many of all model files have been looked at. */
export async function listedModels(
  context: CommandContext,
  onRead: (done: number, all: number) => void = () => {},
): Promise<ModelList> {
  const [{ entries, mistake }, elsewhere] = await Promise.all([takeInventory(context), modelsElsewhere(context)]);
  const reading = new PQueue({ concurrency: HEADERS_AT_ONCE });
  const store = modelStore(context.paths);
  const files = factsCache(context.paths);
  let done = 0;
  const read = async (entry: InventoryEntry): Promise<ListedModel> => {
    const model = await listed(entry, store, files);
    onRead(++done, entries.length);
    return model;
  };
  const models = await reading.addAll(entries.map((entry) => () => read(entry)));
  await files.save();
  return { models, elsewhere, problem: mistake?.message ?? null };
}

async function listed(entry: InventoryEntry, store: ModelStore, files: FactsCache): Promise<ListedModel> {
  const { facts, problem } = await weightsOf(entry, store, files);
  return {
    name: entry.name,
    aliases: entry.aliases,
    kind: entry.config?.kind ?? facts?.kind ?? null,
    capabilities: await capabilitiesIn(entry, facts),
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

export const NO_MODELS =
  "No models yet. `assistant run smollm2` fetches a small one and asks it; `assistant pull` takes many more.";

/** The cells of a table, titles first. `now` in epoch milliseconds. */
export function listRows(models: readonly ListedModel[], now: number): string[][] {
  const rows = models.map((model) => [
    model.name,
    model.kind ?? "-",
    model.bytes === null ? "-" : formatBytes(model.bytes),
    model.quantization ?? "-",
    contextText(model),
    model.pulledAt === null ? "-" : formatAge(model.pulledAt, now),
    stateOf(model),
  ]);
  return [["NAME", "KIND", "SIZE", "QUANT", "CONTEXT", "PULLED", "STATE"], ...rows];
}

/** "On other machines: far (b)", workers, pipelines, and what each provider offers; or nothing. */
export function elsewhereLines(models: readonly ModelElsewhere[]): string[] {
  const namesOf = (kind: ModelElsewhere["servedBy"]) =>
    models.filter(({ servedBy }) => servedBy === kind).map(({ name }) => name);
  const [workers, pipelines] = [namesOf("worker"), namesOf("pipeline")];
  const there = models.filter(({ servedBy }) => servedBy === "remote");
  const offered = Map.groupBy(
    models.filter(({ provider }) => provider !== null),
    ({ provider }) => provider ?? "",
  );
  return [
    ...(there.length === 0
      ? []
      : [
          `On other machines: ${there.map(({ name, nodes }) => `${name} (${nodes.join(", ") || "away now"})`).join(", ")}`,
        ]),
    ...(workers.length === 0 ? [] : [`At workers: ${workers.join(", ")}`]),
    ...(pipelines.length === 0 ? [] : [`Pipelines: ${pipelines.join(", ")}`]),
    ...offersLines([...offered].map(([name, of]) => ({ name, models: of }))),
  ];
}

/** The configured context, beside the trained one where that is another. */
function contextText({ contextTokens, trainContextTokens }: ListedModel): string {
  if (contextTokens === null) return trainContextTokens === null ? "-" : `(${trainContextTokens})`;
  return trainContextTokens === null || trainContextTokens === contextTokens
    ? String(contextTokens)
    : `${contextTokens} (${trainContextTokens})`;
}

/** What is wrong with files, and contexts that no model was trained for, a line each. */
export function remarkLines(models: readonly ListedModel[]): string[] {
  return models.flatMap(({ name, problem, contextTokens, trainContextTokens }) => [
    ...(problem === null ? [] : [`${name}: ${problem}`]),
    ...(contextTokens !== null && trainContextTokens !== null && contextTokens > trainContextTokens
      ? [`${name}: ${aboveTrained(contextTokens, trainContextTokens)}`]
      : []),
  ]);
}

function stateOf(model: ListedModel): string {
  if (model.providers.length > 0) return `at ${model.providers.join(", ")}`;
  if (model.program === null && model.file === null) return "not pulled";
  if (model.program === null && !model.readable) return "unusable file";
  if (model.loaded) return "loaded";
  return model.configured ? "ready to run" : "not configured";
}
