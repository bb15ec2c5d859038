import { memoryForModels } from "../core/device.ts";
import { PullService } from "../models/pull-service.ts";
import type { ModelStore } from "../models/store.ts";
import type { Current } from "./current.ts";

export interface PullsOptions {
  readonly current: Current;
  readonly store: ModelStore;
  /** Reads the configuration again. */
  reload(): Promise<unknown>;
}

/** The downloads of this daemon. What they need of the network is loaded with the first one. */
export const createPulls = ({ current, store, reload }: PullsOptions): PullService =>
  new PullService({
    pull: async (reference, options) => {
      const { pull } = await import("../models/pull.ts");
      const memoryBytes = memoryForModels(current.hardware);
      return await pull(reference, { store, env: current.env, allowLocal: false, memoryBytes, ...options });
    },
    configure: async (pulled) => {
      const { configurePulled } = await import("../models/configure.ts");
      const configured = await configurePulled(pulled, {
        store,
        env: current.env,
        configFile: current.config.paths.configFile,
        hardware: () => current.hardware,
        hasNativeEngine: () =>
          current.engines.choose({ engine: "llama-server" }).then(
            () => true,
            () => false,
          ),
      });
      // The model may be requested as soon as the pull has ended. Problems of the configuration are in its notices.
      if (configured.written) await reload().catch(() => {});
      return configured;
    },
  });
