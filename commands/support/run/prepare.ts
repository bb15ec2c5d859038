import { existsSync } from "node:fs";
import { basename } from "node:path";
import { loadConfig } from "../../../src/config/load.ts";
import { sourceText } from "../../../src/config/source.ts";
import { ensureConfig } from "../../../src/config/write.ts";
import type { Config } from "../../../src/core/config.ts";
import { memoryForModels } from "../../../src/core/device.ts";
import { AssistantError, isAssistantError } from "../../../src/core/errors.ts";
import { answers, isModelKind, type ModelSpec, modelKinds } from "../../../src/core/model.ts";
import { nearestNames } from "../../../src/core/nearest.ts";
import { probeHardware } from "../../../src/fleet/hardware.ts";
import { catalogEntry, DEFAULT_MODEL } from "../../../src/models/catalog.ts";
import { configurePulled } from "../../../src/models/configure.ts";
import { formatBytes } from "../../../src/models/format.ts";
import { isModelName } from "../../../src/models/names.ts";
import type { Presets } from "../../../src/models/presets/preset.ts";
import { type PulledModel, pull } from "../../../src/models/pull.ts";
import { resolveWeights } from "../../../src/models/resolve.ts";
import { getModel } from "../../../src/models/store.ts";
import type { CommandContext } from "../cli/context.ts";
import { type ProgressStream, showProgress } from "../cli/progress.ts";
import { elsewhereNamed, modelsElsewhere } from "../models/elsewhere.ts";
import { orderOf, presetsOf } from "../models/presets.ts";
import { placeOf } from "../models/pull.ts";
import { pullLines } from "../models/pull-progress.ts";
import { modelStore } from "../stores.ts";

export interface PrepareOptions {
  readonly context: CommandContext;
  /** Name, alias or reference; null: the first configured chat model, otherwise the default one of the catalog. */
  readonly wanted: string | null;
  readonly say: (line: string) => void;
  readonly progress: ProgressStream;
  readonly signal: AbortSignal;
}

/** A model that can be run: configured with its weights here, or served by another machine. */
export interface PreparedModel {
  readonly name: string;
  /** Files were written, so a running daemon must reload. */
  readonly configured: boolean;
}

/**
 * Does whatever is missing before a model can be run: writes the configuration, pulls the weights, writes the model's
 * file. Throws `model_not_found`, `wrong_model_kind`, `config_invalid`, and what a pull throws.
 */
export async function prepareModel(options: PrepareOptions): Promise<PreparedModel> {
  const { context, say } = options;
  const { env, paths } = context;
  if (!existsSync(paths.configFile)) {
    const { file, written } = await ensureConfig(paths, await probeHardware(env));
    if (written) say(`Wrote ${file}`);
  }
  const config = await loadConfig({ env, configFile: paths.configFile });
  const wanted = options.wanted ?? config.models.find((model) => answers(model, "chat"))?.name ?? DEFAULT_MODEL;
  const model = config.models.find((entry) => entry.name === wanted || entry.aliases.includes(wanted));
  if (model !== undefined) return { name: await prepareConfigured(model, options), configured: false };

  throwOwnMistake(config, wanted);
  // Only the daemon knows whether the provider has it; it may have to be started first.
  if (config.providers.some(({ name, enabled }) => enabled && wanted.startsWith(`${name}/`)))
    return { name: wanted, configured: false };
  const elsewhere = elsewhereNamed(await modelsElsewhere(context), wanted);
  if (elsewhere !== undefined) {
    needChat(elsewhere.name, elsewhere.kind);
    return { name: elsewhere.name, configured: false };
  }
  return { name: await obtain(wanted, config, options), configured: true };
}

/** A model of the configuration: only its weights may be missing. */
async function prepareConfigured(model: ModelSpec, options: PrepareOptions): Promise<string> {
  needChat(model.name, model.kind);
  if (model.nodes !== undefined) return model.name;
  try {
    await resolveWeights(model.source, modelStore(options.context.paths));
  } catch (error) {
    // A file of the user's own cannot be pulled: the error says where it should be.
    if (model.source.type === "file" || !isAssistantError(error) || error.code !== "model_not_pulled") throw error;
    await pullShown(sourceText(model.source), options);
  }
  return model.name;
}

/**
 * Pulls a model that is not configured, or finds it in the store, and writes its file. Returns the name it can be run
 * by.
 */
async function obtain(wanted: string, config: Config, options: PrepareOptions): Promise<string> {
  const isReference = catalogEntry(wanted) !== null || /[/:]|\.gguf$/iu.test(wanted);
  const stored = isReference ? null : await storedModel(wanted, config);
  if (stored === null && !isReference) {
    const presets = await presetsOf(options.context);
    if (presets.find(wanted) === null) throw unknownModel(wanted, config, presets);
  }
  const pulled = stored ?? (await pullShown(wanted, options));
  const { model, kind, file, written, problem } = await configurePulled(pulled, placeOf(options.context));
  if (model === null || kind === null)
    throw new AssistantError("config_invalid", `${pulled.name} is on this machine but cannot be run: ${problem}.`, {
      remedy: `Correct the file; \`assistant show ${pulled.name}\` shows details.`,
    });
  if (written) options.say(`Wrote ${file}`);
  needChat(model, kind);
  return model;
}

/** A model that was placed in the store by hand, or pulled and removed from the configuration. */
async function storedModel(name: string, config: Config): Promise<PulledModel | null> {
  if (!isModelName(name)) return null;
  const stored = await getModel(modelStore(config.paths), name);
  if (stored === null) return null;
  const { manifest, file, projector, bytes } = stored;
  const known = manifest ?? { reference: name, sha256: "", source: "the store", licence: null };
  return {
    name,
    file,
    projector,
    bytes,
    reference: known.reference,
    sha256: known.sha256,
    source: known.source,
    licence: known.licence,
    alreadyPresent: true,
  };
}

function needChat(name: string, kind: string): void {
  const known = isModelKind(kind) ? modelKinds[kind] : null;
  if (known?.operations.includes("chat")) return;
  throw new AssistantError(
    "wrong_model_kind",
    `${name} is ${known?.noun ?? `a model of the kind ${kind}`}: it answers no chats.`,
    {
      remedy: `Ask for embeddings at /v1/embeddings, with "model": "${name}".`,
    },
  );
}

/** A model whose own file has a mistake is not unknown: say what is wrong with it. */
function throwOwnMistake(config: Config, wanted: string): void {
  const mistake = config.notices.find(
    (notice) => notice.severity === "error" && basename(notice.file, ".toml") === wanted,
  );
  if (mistake === undefined) return;
  throw new AssistantError(
    "config_invalid",
    `${mistake.file}${mistake.line === null ? "" : `:${mistake.line}`}: ${mistake.message}`,
    {
      remedy: "Correct the file, then run this again.",
    },
  );
}

function unknownModel(wanted: string, config: Config, presets: Presets): AssistantError {
  const known = [
    ...config.models.flatMap((model) => [model.name, ...model.aliases]),
    ...presets.all.map(({ name }) => name),
  ];
  const [nearest] = nearestNames(wanted, new Set(known), 1);
  return new AssistantError(
    "model_not_found",
    `There is no model \`${wanted}\`: it is neither configured nor known by name.`,
    {
      param: wanted,
      remedy:
        nearest === undefined
          ? `Name a model (\`assistant list\`), a file, or hf:ORG/REPO/FILE.gguf; \`assistant search\` lists those that are known by name.`
          : `Did you mean \`${nearest}\`?`,
    },
  );
}

async function pullShown(
  reference: string,
  { context, say, progress: stream, signal }: PrepareOptions,
): Promise<PulledModel> {
  using progress = showProgress(stream, `pulling ${reference}`);
  const line = pullLines(reference.length > 30 ? "pulling" : reference);
  const order = await orderOf(reference, context);
  const pulled = await pull(order.reference, {
    name: order.name,
    store: modelStore(context.paths),
    env: context.env,
    memoryBytes: memoryForModels(await probeHardware(context.env)),
    signal,
    onProgress: (now) => progress.update(line(now)),
  });
  progress.stop();
  if (!pulled.alreadyPresent) say(`Pulled ${pulled.name} (${formatBytes(pulled.bytes)}) from ${pulled.source}`);
  return pulled;
}
