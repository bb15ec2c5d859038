import { variable } from "../../src/config/environment.ts";
import type { Config } from "../../src/core/config.ts";
import { createEngines, type EngineSet } from "../../src/engines/index.ts";
import type { CommandContext } from "./cli/context.ts";
import { engineFolder } from "./stores.ts";

/** The engines of an installation, as its daemon would find them. */
export const enginesOf = (
  { env, paths }: CommandContext,
  config: Pick<Config, "llamaServerPath"> | null = null,
): EngineSet =>
  createEngines({
    folder: engineFolder(paths),
    llamaServerPath: config?.llamaServerPath ?? null,
    pathVariable: variable(env, "PATH") ?? "",
    nodePath: process.execPath,
  });
