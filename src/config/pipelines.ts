import { readdir } from "node:fs/promises";
import path from "node:path";
import type { ModelSpec } from "../core/model.ts";
import { nearestNames } from "../core/nearest.ts";
import type { PipelineSourceSpec, PipelineSpec, StageSpec } from "../core/pipeline.ts";
import { at } from "./draft.ts";
import type { Environment } from "./environment.ts";
import type { Findings, Place, SourceFile } from "./findings.ts";
import { pathIn } from "./paths.ts";
import { type SchemaNode, schemaNode } from "./schema/kit.ts";
import { commonStageKeys, PipelineFile } from "./schema/pipelines.ts";
import { sourceSchemas, stageSchemas } from "./schema/stages.ts";
import { readToml, UnreadableFile } from "./toml.ts";
import { shown, validate } from "./validate.ts";

const LEFT_OUT = "; the pipeline is left out";

/** The sections of requests that stages of each kind read, where a file names no other. */
const SECTIONS: Readonly<Record<string, string>> = {
  model: "LLM",
  dify: "LLM",
  speech: "TTS",
  "gpt-sovits": "TTS",
  transcription: "ASR",
};

interface PipelineContext {
  readonly env: Environment;
  readonly findings: Findings;
  /** Whose names no pipeline may have. */
  readonly models: readonly Pick<ModelSpec, "name" | "aliases" | "file">[];
}

/**
 * The pipelines of every `NAME.toml` in `directory`. What is wrong with a file becomes an error notice, and the others
 * serve.
 */
export async function pipelinesOf(context: PipelineContext, directory: string): Promise<readonly PipelineSpec[]> {
  let names: string[];
  try {
    names = (await readdir(directory)).filter((name) => name.endsWith(".toml") && !name.startsWith(".")).sort();
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    if (code !== "ENOENT")
      context.findings.fileError(directory, null, `the directory of the pipelines cannot be read (${code ?? message})`);
    return [];
  }
  const read = await Promise.all(names.map((name) => readPipeline(context, path.join(directory, name))));
  const named = read.filter((pipeline) => pipeline !== null).filter((pipeline) => isFree(context, pipeline));
  return onlyOneDefault(context, withoutCycles(context, named));
}

function isFree({ findings, models }: PipelineContext, { name, file }: PipelineSpec): boolean {
  const model = models.find((each) => each.name === name || each.aliases.includes(name));
  if (model !== undefined)
    findings.fileError(
      file,
      null,
      `a model is called ${shown(name)} already, in ${model.file}: rename this file`,
      LEFT_OUT,
    );
  return model === undefined;
}

/** Without those whose stages ask the pipeline itself, be it by way of others. */
function withoutCycles({ findings }: PipelineContext, pipelines: readonly PipelineSpec[]): readonly PipelineSpec[] {
  const asked = new Map(pipelines.map(({ name, stages }) => [name, stages.map(({ settings }) => settings["model"])]));
  const wayBack = (name: string): readonly string[] | null => {
    const ways: (readonly string[])[] = [[name]];
    const seen = new Set<string>();
    for (const way of ways)
      for (const next of asked.get(way.at(-1) ?? "") ?? []) {
        if (next === name) return [...way, name];
        if (typeof next !== "string" || seen.has(next)) continue;
        seen.add(next);
        ways.push([...way, next]);
      }
    return null;
  };
  return pipelines.filter(({ name, file }) => {
    const way = wayBack(name);
    if (way === null) return true;
    findings.fileError(file, null, `its stages ask the pipeline itself: ${way.join(" -> ")}`, LEFT_OUT);
    return false;
  });
}

/** Null if it cannot be used, which is reported. */
async function readPipeline(context: PipelineContext, file: string): Promise<PipelineSpec | null> {
  const { findings } = context;
  try {
    const source = await readToml(file);
    if (source === null) return null;
    const valid = validate(schemaNode(PipelineFile), source, (keys, message) =>
      findings.error({ source, path: keys }, message, LEFT_OUT),
    );
    return valid ? pipelineOf(context, source) : null;
  } catch (error) {
    if (!(error instanceof UnreadableFile)) throw error;
    findings.fileError(error.file, error.line, error.message, LEFT_OUT);
    return null;
  }
}

function pipelineOf(context: PipelineContext, source: SourceFile): PipelineSpec | null {
  const keys = source.data as PipelineFile;
  const root: Place = { source, path: [] };
  const stages = (keys.stages ?? []).map((stage, index) => stageOf(context, stage, at(root, "stages", index)));
  const messages = keys.source === undefined ? null : sourceOf(context, keys.source, at(root, "source"));
  const wrong = stages.includes(null) || (keys.source !== undefined && messages === null);
  if (wrong) return null;
  const name = path.basename(source.file, ".toml");
  if (!/^[\p{L}\p{N}][\p{L}\p{N}_.-]{0,63}$/u.test(name)) {
    context.findings.error(
      root,
      "the name of the file is the pipeline's: letters, digits, `_`, `.` and `-`, at most 64",
      LEFT_OUT,
    );
    return null;
  }
  return {
    name,
    description: keys.description ?? "",
    isDefault: keys.default ?? false,
    queueLength: keys.queue ?? 16,
    maxConcurrency: keys.max_concurrency ?? 64,
    stages: withUniqueNames(stages.filter((stage) => stage !== null)),
    source: messages,
    awake: Object.fromEntries(
      Object.entries(keys.awake ?? {}).map(([voice, { text, audio }]) => [
        voice,
        { text, audio: audio === undefined ? null : pathIn(source.file, audio, context.env) },
      ]),
    ),
    file: source.file,
  };
}

function stageOf({ env, findings }: PipelineContext, stage: Record<string, unknown>, place: Place): StageSpec | null {
  const { use } = stage;
  if (typeof use !== "string") {
    findings.error(place, `\`use\` is missing: expected ${kindsText()}`, LEFT_OUT);
    return null;
  }
  const isModule = /^(?:\.{0,2}\/|~\/).*\.[cm]?[jt]s$/.test(use);
  const schema: SchemaNode | undefined = isModule
    ? undefined
    : Object.hasOwn(stageSchemas, use)
      ? schemaNode(stageSchemas[use as keyof typeof stageSchemas])
      : undefined;
  if (!isModule && schema === undefined) {
    findings.error(
      at(place, "use"),
      `expected ${kindsText()}, found ${shown(use)}${nearText(use, Object.keys(stageSchemas))}`,
      LEFT_OUT,
    );
    return null;
  }
  const own = Object.fromEntries(Object.entries(stage).filter(([key]) => Object.hasOwn(commonStageKeys, key)));
  const fits = checks(
    findings,
    schema ?? schemaNode({ type: "object", properties: commonStageKeys } as never),
    schema === undefined ? own : stage,
    place,
  );
  if (!fits || !agrees(findings, stage, place)) return null;
  const { name, section, to_client: toClient } = own as { name?: string; section?: string; to_client?: boolean };
  const settings = Object.fromEntries(Object.entries(stage).filter(([key]) => !Object.hasOwn(own, key)));
  const kind = isModule ? path.basename(use).replace(/\.[cm]?[jt]s$/, "") : use;
  const database = settings["database"];
  return {
    use: isModule ? pathIn(place.source.file, use, env) : use,
    name: name ?? kind,
    section: section ?? SECTIONS[use] ?? name ?? kind,
    toClient: toClient ?? true,
    settings:
      typeof database === "string" && !isModule
        ? { ...settings, database: pathIn(place.source.file, database, env) }
        : settings,
  };
}

function sourceOf(
  { env, findings }: PipelineContext,
  source: Record<string, unknown>,
  place: Place,
): PipelineSourceSpec | null {
  const { use, concurrency, ...settings } = source;
  if (typeof use !== "string" || !Object.hasOwn(sourceSchemas, use)) {
    const kinds = Object.keys(sourceSchemas);
    const found = use === undefined ? "it is missing" : `found ${shown(use)}${nearText(String(use), kinds)}`;
    const expected = kinds.map((kind) => JSON.stringify(kind)).join(", ");
    findings.error(place, `\`use\` must be one of ${expected}; ${found}`, LEFT_OUT);
    return null;
  }
  const kind = use as keyof typeof sourceSchemas;
  if (!checks(findings, schemaNode(sourceSchemas[kind]), source, place)) return null;
  if (!agrees(findings, source, place)) return null;
  const { database } = settings;
  return {
    use: kind,
    concurrency: (concurrency as number | undefined) ?? 1,
    settings:
      typeof database === "string" ? { ...settings, database: pathIn(place.source.file, database, env) } : settings,
  };
}

/** Checks one table of a file by its own schema. */
const checks = (findings: Findings, schema: SchemaNode, data: Record<string, unknown>, place: Place): boolean =>
  validate(schema, { ...place.source, data }, (keys, message) => findings.error(at(place, ...keys), message, LEFT_OUT));

/** What no schema of one key says. */
function agrees(findings: Findings, table: Readonly<Record<string, unknown>>, place: Place): boolean {
  const places = ["list", "stream", "channel"].filter((key) => table[key] !== undefined);
  const problem =
    table["use"] === "redis" && places.length !== 1
      ? `expected one of \`list\`, \`stream\` and \`channel\`, found ${places.length === 0 ? "none" : places.join(" and ")}`
      : table["url"] !== undefined && table["url_env"] !== undefined
        ? "expected `url` or `url_env`, found both"
        : table["use"] === "http" && table["method"] === "GET" && table["body"] !== undefined
          ? 'expected no `body` with `method = "GET"`, which sends none'
          : null;
  if (problem !== null) findings.error(place, problem, LEFT_OUT);
  return problem === null;
}

const kindsText = (): string =>
  `one of ${Object.keys(stageSchemas)
    .map((kind) => JSON.stringify(kind))
    .join(", ")}, or the path of a module, such as "./stage.ts"`;

const nearText = (name: string, names: readonly string[]): string => {
  const [near] = nearestNames(name, names, 1);
  return near === undefined ? "" : ` (did you mean ${JSON.stringify(near)}?)`;
};

/** The second `splitter` becomes `splitter-2`. */
function withUniqueNames(stages: readonly StageSpec[]): readonly StageSpec[] {
  const seen = new Map<string, number>();
  return stages.map((stage) => {
    const times = (seen.get(stage.name) ?? 0) + 1;
    seen.set(stage.name, times);
    return times === 1 ? stage : { ...stage, name: `${stage.name}-${times}` };
  });
}

/** Of several that are marked `default` the first one is. */
function onlyOneDefault({ findings }: PipelineContext, pipelines: readonly PipelineSpec[]): readonly PipelineSpec[] {
  const first = pipelines.find(({ isDefault }) => isDefault);
  return pipelines.map((pipeline) => {
    if (!pipeline.isDefault || pipeline === first) return pipeline;
    findings.fileError(pipeline.file, null, `\`default\` has no effect: ${first?.file} has it already`);
    return { ...pipeline, isDefault: false };
  });
}
