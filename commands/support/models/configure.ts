import { loadConfig } from "../../../src/config/load.ts";
import { ensureModelConfig } from "../../../src/config/write.ts";
import type { Config } from "../../../src/core/config.ts";
import { isAssistantError } from "../../../src/core/errors.ts";
import type { ModelKind, ModelSource } from "../../../src/core/model.ts";
import { probeHardware } from "../../../src/fleet/hardware.ts";
import { catalogEntry } from "../../../src/models/catalog.ts";
import { factsOfStored } from "../../../src/models/known-facts.ts";
import type { PulledModel } from "../../../src/models/pull.ts";
import { locateWeights } from "../../../src/models/resolve.ts";
import { getModel, type ModelStore } from "../../../src/models/store.ts";
import type { CommandContext } from "../cli/context.ts";
import { modelStore } from "../stores.ts";

export interface Configured {
  /** Name by which the model is addressed; null where no configuration could be written. */
  readonly model: string | null;
  readonly kind: ModelKind | null;
  readonly file: string | null;
  readonly written: boolean;
  /** Why there is none. */
  readonly problem: string | null;
}

/**
 * Sees to it that a pulled model can be run: finds the configured model that uses its file, or writes a model file that
 * fits this machine. A broken configuration does not undo the pull; it is told instead.
 */
export async function configurePulled(pulled: PulledModel, context: CommandContext): Promise<Configured> {
  try {
    const config = await loadConfig({ env: context.env, configFile: context.paths.configFile });
    const user = (await usersOf(config, pulled.file))[0];
    if (user !== undefined)
      return { model: user.name, kind: user.kind, file: user.file, written: false, problem: null };
    const source = pulled.reference.startsWith("hf:") ? pulled.reference : pulled.name;
    const order = {
      name: pulled.name,
      source,
      kind: await kindOf(pulled, modelStore(config.paths)),
      hardware: await probeHardware(context.env),
    };
    const { file, written } = await ensureModelConfig(config.paths, order);
    return written
      ? { model: pulled.name, kind: order.kind, file, written, problem: null }
      : { model: null, kind: null, file, written, problem: `${file} is there already and names other weights` };
  } catch (error) {
    if (!isAssistantError(error)) throw error;
    return { model: null, kind: null, file: null, written: false, problem: error.message };
  }
}

/** The configured models whose weights are this file. */
export async function usersOf(config: Config, file: string): Promise<readonly Config["models"][number][]> {
  const used = await Promise.all(config.models.map(async (model) => (await fileOf(model.source, config)) === file));
  return config.models.filter((_, index) => used[index]);
}

/** The file of a source, or null where it is not here. */
export const fileOf = (source: ModelSource, config: Pick<Config, "paths">): Promise<string | null> =>
  source.type === "opaque" ? Promise.resolve(null) : locateWeights(source, modelStore(config.paths)).catch(() => null);

async function kindOf(pulled: PulledModel, store: ModelStore): Promise<ModelKind> {
  const entry = catalogEntry(pulled.reference);
  if (entry !== null) return entry.kind;
  const stored = await getModel(store, pulled.name);
  return stored === null ? "chat" : (await factsOfStored(stored, store)).kind;
}
