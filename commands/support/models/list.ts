import type { ListedModel, ModelElsewhere, ModelList } from "../../../src/api/models.ts";
import { modelsOfDaemon } from "../../../src/client/daemon-client.ts";
import { aboveTrained } from "../../../src/models/context.ts";
import { formatAge, formatBytes } from "../../../src/models/format.ts";
import { offersLines } from "../../../src/ui/providers-text.ts";
import type { CommandContext } from "../cli/context.ts";

/**
 * From the daemon's memory if one is running with this configuration. `onRead`: how many of all model files have been
 * read.
 */
export async function listedModels(
  context: CommandContext,
  onRead: (done: number, all: number) => void,
): Promise<Omit<ModelList, "configFile">> {
  const ofDaemon = await modelsOfDaemon(context.paths);
  if (ofDaemon?.configFile === context.paths.configFile) return ofDaemon;
  const { listHere } = await import("./list-here.ts");
  return await listHere(context, onRead);
}

export const NO_MODELS =
  "No models yet. `assistant run smollm2` downloads and runs a small one; `assistant search` lists others.";

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

/** The configured context, and the trained one if that differs. */
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
