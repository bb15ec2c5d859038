import { LineCounter, parseDocument } from "yaml";
import type { Environment } from "../../config/environment.ts";
import { dottedKey } from "../../config/findings.ts";
import { pathIn } from "../../config/paths.ts";
import { type SchemaNode, schemaNode } from "../../config/schema/kit.ts";
import { validate } from "../../config/validate.ts";
import { catalogEntry } from "../catalog.ts";
import type { Preset } from "./preset.ts";
import { CloudEntry, EmbeddingEntry, LocalEntry } from "./schema.ts";

export type Warn = (file: string, line: number | null, key: string | null, message: string) => void;

export interface FileContext {
  readonly file: string;
  readonly isBuiltIn: boolean;
  readonly warn: Warn;
  readonly env: Environment;
}

type Kind = Preset["kind"];

const schemas: Readonly<Record<Kind, SchemaNode>> = {
  local: schemaNode(LocalEntry),
  cloud: schemaNode(CloudEntry),
  embedding: schemaNode(EmbeddingEntry),
};

/** The presets of one file. What is wrong goes to `warn`; an entry with a mistake is left out, the others stay. */
export function readEntries(text: string, kind: Kind, context: FileContext): Preset[] {
  const { file, warn } = context;
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines });
  const [error] = document.errors;
  if (error !== undefined) {
    warn(file, error.linePos?.[0].line ?? null, null, `is not read, as it is not YAML: ${firstLine(error.message)}`);
    return [];
  }
  const models = modelsOf(document);
  if (!Array.isArray(models)) {
    warn(file, null, "models", "is not read: expected a list of presets under `models:`");
    return [];
  }
  return models.flatMap((entry: unknown, index) => {
    const node = document.getIn(["models", index], true) as { readonly range?: readonly [number, ...number[]] } | null;
    const line = node?.range === undefined ? null : lines.linePos(node.range[0]).line;
    const preset = readEntry(withoutNulls(entry), kind, { ...context, line, place: `models[${index}]` });
    return preset === null ? [] : [preset];
  });
}

/** Undefined where the document has none. A reference to something that is nowhere throws. */
function modelsOf(document: ReturnType<typeof parseDocument>): unknown {
  try {
    return (document.toJS() as { readonly models?: unknown } | null)?.models;
  } catch {
    return undefined;
  }
}

interface EntryContext extends FileContext {
  readonly line: number | null;
  readonly place: string;
}

function readEntry(entry: unknown, kind: Kind, context: EntryContext): Preset | null {
  const { file, isBuiltIn, warn, line, place } = context;
  if (typeof entry !== "object" || entry === null || Array.isArray(entry)) {
    warn(file, line, place, "is left out: expected a table with `name` and more");
    return null;
  }
  const schema = schemas[kind];
  let isUsable = true;
  validate(schema, { file, data: entry as Record<string, unknown>, locator: { line: () => line } }, (path, message) => {
    const isKnown = knows(schema, path);
    if (isKnown) isUsable = false;
    const key = path.length === 0 ? place : `${place}.${dottedKey(path)}`;
    warn(file, line, key, isKnown ? `${message}; this preset is left out` : "is not a field of presets; it is ignored");
  });
  const { name } = entry as { readonly name?: string };
  if (isUsable && !isBuiltIn && name !== undefined && catalogEntry(name) !== null) {
    warn(file, line, `${place}.name`, `${name} is a model whose digest is part of Assistant; choose another name`);
    return null;
  }
  return isUsable ? makers[kind](entry, { ...context, file: isBuiltIn ? null : file }) : null;
}

/** Whether the schema has the field; other programs' fields do no harm. */
function knows(schema: SchemaNode, path: readonly (string | number)[]): boolean {
  let node: SchemaNode | undefined = schema;
  for (const part of path) node = node?.properties?.[part];
  return node !== undefined;
}

interface MakeContext extends Omit<EntryContext, "file"> {
  readonly file: string | null;
}

const makers: Readonly<Record<Kind, (entry: object, context: MakeContext) => Preset>> = {
  local: (entry, { file, env }) => {
    const {
      vram_requirements: vramMib = {},
      provider_config: config = {},
      size_b: sizeB,
      ...rest
    } = entry as LocalEntry;
    return {
      kind: "local",
      ...inRepository(rest, file),
      sizeB,
      vramMib,
      modelPath: config.model_path === undefined ? null : pathIn(file ?? "", config.model_path, env),
      contextWindow: config.context_window ?? null,
      gpuLayers: config.gpu_layers ?? null,
    };
  },
  embedding: (entry, { file }) => {
    const { dimensions, ...rest } = entry as EmbeddingEntry;
    return { kind: "embedding", ...inRepository(rest, file), dimensions };
  },
  cloud: (entry, { file }) => {
    const { name, provider, api_key_env_var: apiKeyVariable = null, provider_config: config } = entry as CloudEntry;
    return {
      kind: "cloud",
      name,
      file,
      provider,
      apiKeyVariable,
      modelName: config.model_name,
      apiKey: config.api_key ?? null,
      baseUrl: config.base_url ?? null,
      timeoutS: config.timeout ?? null,
      maxRetries: config.max_retries ?? null,
    };
  },
};

const inRepository = (
  entry: Pick<EmbeddingEntry, "name" | "huggingface_repo" | "filename" | "licence" | "context_length">,
  file: string | null,
) => ({
  name: entry.name,
  file,
  repo: entry.huggingface_repo,
  filename: entry.filename ?? null,
  licence: entry.licence ?? null,
  contextLength: entry.context_length ?? null,
});

/** A key without a value means the default, as it does to other readers of this format. */
function withoutNulls(value: unknown): unknown {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return value;
  return Object.fromEntries(
    Object.entries(value)
      .filter(([, inner]) => inner !== null)
      .map(([key, inner]) => [key, withoutNulls(inner)]),
  );
}

const firstLine = (message: string): string => message.split("\n")[0] ?? message;
