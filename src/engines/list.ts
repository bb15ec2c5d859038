import type { EngineAvailability } from "../core/engine.ts";
import type { EngineId } from "../core/model.ts";
import { createEngines, type EngineOptions } from "./index.ts";
import { listBuilds } from "./llama-server/builds.ts";
import { type EngineOrigin, listLlamaServers } from "./llama-server/installation.ts";

/** A program that serves models here, or was intended to. */
export interface EngineInstallation {
  readonly engine: EngineId;
  /** Whether models with `engine = "auto"` run on it. */
  readonly auto: boolean;
  /** How it came to be here. */
  readonly origin: EngineOrigin | "embedded";
  /** Null for what comes with Assistant. */
  readonly path: string | null;
  /** Version by which `engine use` and `engine rm` know it; null for what `engine build` has not made. */
  readonly build: string | null;
  readonly availability: EngineAvailability;
}

export interface EngineInstallations {
  /** The engine of models with `engine = "auto"`; null where none can be used. */
  readonly auto: EngineId | null;
  /** Those of one engine in the order in which they are considered. */
  readonly all: readonly EngineInstallation[];
}

/** Every program of every engine on this machine. Runs each native one once (`--version`). */
export async function listEngines(options: EngineOptions): Promise<EngineInstallations> {
  const engines = createEngines(options);
  const [servers, builds, embedded, auto] = await Promise.all([
    listLlamaServers(options.folder, options.llamaServerPath, options.pathVariable),
    listBuilds(options.folder.enginesDir),
    engines.get("node-llama-cpp").availability(),
    engines.choose({ engine: "auto" }).then(
      (engine) => engine.id,
      () => null,
    ),
  ]);
  const native = servers.map(
    (found, index): EngineInstallation => ({
      engine: "llama-server",
      auto: auto === "llama-server" && index === 0,
      origin: found.origin ?? "path",
      path: found.path,
      build: builds.find(({ path }) => path === found.path)?.version ?? null,
      availability: found,
    }),
  );
  return {
    auto,
    all: [
      ...native,
      {
        engine: "node-llama-cpp",
        auto: auto === "node-llama-cpp",
        origin: "embedded",
        path: null,
        build: null,
        availability: embedded,
      },
    ],
  };
}
