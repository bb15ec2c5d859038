import type { Engine } from "../core/engine.ts";
import { AssistantError } from "../core/errors.ts";
import type { EngineId, ModelSpec } from "../core/model.ts";
import { type EngineFolder, readEngineChoice } from "./choice.ts";
import { createCommandEngine } from "./command/engine.ts";
import { readBackgroundBuild } from "./llama-server/build/background.ts";
import { createLlamaServerEngine } from "./llama-server/engine.ts";
import { type FoundEngine, findLlamaServer } from "./llama-server/installation.ts";
import { createEmbeddedEngine } from "./node-llama-cpp/engine.ts";
import { createSpeechEngine } from "./speech/engine.ts";

export { supportsDevice } from "./backends.ts";
export { createEngineProbe } from "./surface.ts";

export interface EngineOptions {
  readonly folder: EngineFolder;
  /** `[engine] llama_server_path` of config.toml, or null. */
  readonly llamaServerPath: string | null;
  /** The value of `PATH`, where a llama-server of the system's may be. */
  readonly pathVariable: string;
  /**
   * The environment of this process, of which programs of the user's own get what their model files name. Default:
   * nothing.
   */
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** The Node program that runs the embedded engine's worker; normally the daemon's own (`process.execPath`). */
  readonly nodePath: string;
}

/** The engines of this machine. What was found is remembered: make a new set to look again. */
export interface EngineSet {
  /** Those of llama.cpp; what `command` runs differs from model to model. */
  readonly all: readonly Engine[];
  get(id: EngineId): Engine;
  /**
   * The engine that serves `spec`. `auto`: the one selected with `assistant engine use`, otherwise the native engine if
   * available, otherwise the embedded one. Throws `engine_unavailable` if the requested engine is not on this machine;
   * an explicitly named engine that does not run is never replaced silently.
   */
  choose(spec: Pick<ModelSpec, "engine">): Promise<Engine>;
  /** One sentence for people whose models would run faster natively, or null when they already do. */
  hint(): Promise<string | null>;
}

/** Measured side by side on the default chat model and two CPU cores; docs/performance.md says how. */
const nativeSpeedup = "about 1.7 times as fast as the embedded one with one client and 1.3 times as fast with eight";

export function createEngines(options: EngineOptions): EngineSet {
  let search: Promise<FoundEngine> | null = null;
  const find = (): Promise<FoundEngine> => {
    search ??= findLlamaServer(options.folder, options.llamaServerPath, options.pathVariable);
    return search;
  };
  const native = createLlamaServerEngine(find);
  const embedded = createEmbeddedEngine({ nodePath: options.nodePath });
  const { nodePath, pathVariable } = options;
  const engines: Readonly<Record<EngineId, Engine>> = {
    "llama-server": native,
    "node-llama-cpp": embedded,
    command: createCommandEngine(options.env ?? {}),
    speech: createSpeechEngine({ nodePath, pathVariable }),
  };
  const get = (id: EngineId): Engine => engines[id];

  const usable = async (id: EngineId): Promise<Engine> => {
    const engine = get(id);
    const availability = await engine.availability();
    if (availability.available) return engine;
    throw new AssistantError("engine_unavailable", `The engine ${id} cannot be used: ${availability.reason}`, {
      remedy: availability.remedy,
    });
  };

  const automatic = async (): Promise<EngineId> => {
    const { engine } = await readEngineChoice(options.folder);
    if (engine !== "auto") return engine;
    const found = await find();
    const named = found.origin === "configured" || found.origin === "chosen";
    return found.available || named ? "llama-server" : "node-llama-cpp";
  };

  return {
    all: Object.values(engines),
    get,
    async choose(spec) {
      const engine = await usable(spec.engine === "auto" ? await automatic() : spec.engine);
      return engine;
    },
    async hint() {
      if ((await automatic()) === "llama-server") return null;
      const building = await readBackgroundBuild(options.folder.choices);
      if (building?.state === "running")
        return `The native engine is being built in the background (${building.progress}); models use it from their next start after that.`;
      const found = await find();
      const how = found.available ? "assistant engine use auto" : "assistant engine build";
      return `The native engine answers ${nativeSpeedup} (on a CPU), and takes images: \`${how}\`.`;
    },
  };
}
