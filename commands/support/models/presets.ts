import { loadConfig } from "../../../src/config/load.ts";
import { probeHardware } from "../../../src/fleet/hardware.ts";
import { Hub } from "../../../src/models/hub.ts";
import { loadPresets } from "../../../src/models/presets/load.ts";
import { mayBePreset, type PullOrder, pullOrder } from "../../../src/models/presets/named.ts";
import type { Presets } from "../../../src/models/presets/preset.ts";
import { pull } from "../../../src/models/pull.ts";
import { Registry } from "../../../src/registry/registry.ts";
import { openDocuments } from "../../../src/store/stores.ts";
import type { CommandContext } from "../cli/context.ts";
import { type ProgressStream, showProgress } from "../cli/progress.ts";
import { modelStore } from "../stores.ts";
import { pullLines } from "./pull-progress.ts";

export const presetsOf = ({ paths, env }: CommandContext): Promise<Presets> => loadPresets(paths, env);

/** What to pull for a reference; presets are only read if it could be one. */
export const orderOf = async (written: string, context: CommandContext): Promise<PullOrder> =>
  mayBePreset(written) ? pullOrder(written, await presetsOf(context)) : { reference: written, name: null };

export const hubOf = ({ paths, env }: CommandContext): Hub =>
  new Hub({ env, documents: openDocuments(paths, () => {}).data });

/** Registers and deletes models of this installation. A running daemon notices the changed files. */
export function registryOf(context: CommandContext, progress: ProgressStream, signal: AbortSignal): Registry {
  const { env, paths } = context;
  const store = modelStore(paths);
  return new Registry({
    env,
    store,
    config: () => loadConfig({ env, configFile: paths.configFile }),
    hardware: () => probeHardware(env),
    presets: () => presetsOf(context),
    pull: async (reference, name) => {
      using shown = showProgress(progress, `pulling ${name}`);
      const line = pullLines(name);
      await pull(reference, { store, env, name, signal, onProgress: (now) => shown.update(line(now)) });
    },
    reload: async () => {},
  });
}
