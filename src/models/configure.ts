import { loadConfig } from "../config/load.ts";
import { ensureModelConfig } from "../config/write.ts";
import type { Config } from "../core/config.ts";
import type { Hardware } from "../core/device.ts";
import { isAssistantError } from "../core/errors.ts";
import type { ModelKind, ModelSource } from "../core/model.ts";
import { catalogEntry } from "./catalog.ts";
import { readStoredFacts } from "./facts.ts";
import type { PulledModel } from "./pull.ts";
import { locateWeights } from "./resolve.ts";
import { getModel, listedOnce, type ModelStore } from "./store.ts";
import { isVoiceFile } from "./voice.ts";

export interface Configured {
  /** Name by which the model is addressed; null where no configuration could be written. */
  readonly model: string | null;
  readonly kind: ModelKind | null;
  readonly file: string | null;
  readonly written: boolean;
  /** Why there is none. */
  readonly problem: string | null;
}

/** Where a pulled model is configured. */
export interface Place {
  readonly store: ModelStore;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly configFile: string;
  /** Only used if a model file must be written. */
  hardware(): Hardware | Promise<Hardware>;
  /** Whether there is a native engine: the embedded one takes no projector. */
  hasNativeEngine(): Promise<boolean>;
}

/**
 * Makes sure that a pulled model can be run: finds the configured model that uses its file, or writes a model file that
 * fits this machine. A broken configuration does not undo the pull; it is reported instead.
 */
export async function configurePulled(
  pulled: PulledModel,
  { store, env, configFile, ...machine }: Place,
): Promise<Configured> {
  try {
    const config = await loadConfig({ env, configFile });
    const user = (await usersOf(config, pulled.file, store))[0];
    if (user !== undefined)
      return { model: user.name, kind: user.kind, file: user.file, written: false, problem: null };
    const holder = config.models.find(({ name, aliases }) => [name, ...aliases].includes(pulled.name));
    if (holder !== undefined) return notConfigured(holder.file, `the name is that of a model of ${holder.file}`);
    const source = pulled.reference.startsWith("hf:") ? pulled.reference : pulled.name;
    const kind = await kindOf(pulled, store);
    const projector =
      pulled.projector === null ? null : { file: pulled.projector, usable: await machine.hasNativeEngine() };
    const order = { name: pulled.name, source, kind, projector, hardware: await machine.hardware() };
    const { file, written } = await ensureModelConfig(config.paths, order);
    return written
      ? { model: pulled.name, kind, file, written, problem: null }
      : notConfigured(file, `${file} already exists and names other weights`);
  } catch (error) {
    if (!isAssistantError(error)) throw error;
    return notConfigured(null, error.message);
  }
}

const notConfigured = (file: string | null, problem: string): Configured => ({
  ...{ model: null, kind: null, file, written: false, problem },
});

/** The configured models whose weights are this file. */
async function usersOf(config: Config, file: string, store: ModelStore): Promise<readonly Config["models"][number][]> {
  const once = listedOnce(store);
  const used = await Promise.all(config.models.map(async (model) => (await fileOf(model.source, once)) === file));
  return config.models.filter((_, index) => used[index]);
}

/** The file of a source, or null where it is not here. */
export const fileOf = (source: ModelSource, store: ModelStore): Promise<string | null> =>
  source.type === "opaque" ? Promise.resolve(null) : locateWeights(source, store).catch(() => null);

async function kindOf(pulled: PulledModel, store: ModelStore): Promise<ModelKind> {
  const entry = catalogEntry(pulled.reference);
  if (entry !== null) return entry.kind;
  if (isVoiceFile(pulled.file)) return "speech";
  const stored = await getModel(store, pulled.name);
  return stored === null ? "chat" : (await readStoredFacts(stored)).kind;
}
