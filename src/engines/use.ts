import { resolve } from "node:path";
import { AssistantError } from "../core/errors.ts";
import type { EngineId } from "../core/model.ts";
import { nearestNames } from "../core/nearest.ts";
import { type EngineChoice, type EngineFolder, NO_CHOICE, readEngineChoice } from "./choice.ts";
import { listBuilds } from "./llama-server/builds.ts";
import { type FoundEngine, findLlamaServer, inspectLlamaServer } from "./llama-server/installation.ts";

export interface UseOptions {
  readonly folder: EngineFolder;
  /** The value of `PATH`. */
  readonly pathVariable: string;
  /** `[engine] llama_server_path` of config.toml; called only if the answer depends on it. */
  llamaServerPath(): Promise<string | null>;
}

/** What `assistant engine use` is to remember, and what models with `engine = "auto"` run on then, for people. */
export interface UsedEngine {
  readonly choice: EngineChoice;
  /** The build to be used; null: whichever it is now. */
  readonly build: string | null;
  readonly runsOn: string;
}

/**
 * Resolves an engine's name, `auto`, the version of a build or the path of a llama-server. Throws `engine_unavailable`
 * if the llama-server does not run, `usage` for anything else.
 */
export async function engineToUse(
  given: string,
  { folder, pathVariable, llamaServerPath }: UseOptions,
): Promise<UsedEngine> {
  if (given === "auto") {
    const runsOn = "llama-server if available, else on node-llama-cpp";
    return { choice: NO_CHOICE, build: null, runsOn };
  }
  const keepingPath = async (engine: EngineId): Promise<EngineChoice> => ({
    ...(await readEngineChoice(folder)),
    engine,
  });
  if (given === "node-llama-cpp") return { choice: await keepingPath(given), build: null, runsOn: given };
  if (given === "llama-server") {
    const runsOn = textOf(await findLlamaServer(folder, await llamaServerPath(), pathVariable));
    return { choice: await keepingPath(given), build: null, runsOn };
  }
  const builds = await listBuilds(folder.enginesDir);
  const build = builds.find(({ version }) => version === given);
  const isPath = /[/\\]|^\./u.test(given);
  const configured = build !== undefined || isPath ? await llamaServerPath() : null;
  if (configured !== null) {
    throw new AssistantError("usage", `[engine] llama_server_path in config.toml names ${configured}, which wins.`, {
      param: "ENGINE",
      remedy: "Remove it from config.toml, then try again.",
    });
  }
  if (build !== undefined) {
    const runsOn = textOf(await inspectLlamaServer(build.path, "other build"));
    return { choice: { engine: "llama-server", llamaServerPath: null }, build: given, runsOn };
  }
  if (isPath) {
    const path = resolve(given);
    return {
      runsOn: textOf(await inspectLlamaServer(path, "chosen")),
      build: null,
      choice: { engine: "llama-server", llamaServerPath: path },
    };
  }
  const [near] = nearestNames(given, [
    "llama-server",
    "node-llama-cpp",
    "auto",
    ...builds.map(({ version }) => version),
  ]);
  throw new AssistantError(
    "usage",
    `Expected llama-server, node-llama-cpp, auto, a build or a path, and got "${given}".`,
    {
      param: "ENGINE",
      remedy:
        near === undefined
          ? "`assistant engine list` shows the builds; a program in this directory is named with ./ before it."
          : `Did you mean ${near}?`,
    },
  );
}

function textOf(server: FoundEngine): string {
  if (!server.available) throw new AssistantError("engine_unavailable", server.reason, { remedy: server.remedy });
  return `llama-server ${server.version} at ${server.path}`;
}
