import { resolve } from "node:path";
import { AssistantError } from "../core/errors.ts";
import type { EngineId } from "../core/model.ts";
import { type EngineChoice, type EngineFolder, NO_CHOICE, readEngineChoice } from "./choice.ts";
import { type FoundEngine, findLlamaServer, inspectLlamaServer } from "./llama-server/installation.ts";

export interface UseOptions {
  readonly folder: EngineFolder;
  /** The value of `PATH`. */
  readonly pathVariable: string;
  /** `[engine] llama_server_path` of config.toml; asked for only where the answer depends on it. */
  llamaServerPath(): Promise<string | null>;
}

/** What `assistant engine use` is to remember, and what models with `engine = "auto"` run on then, for people. */
export interface UsedEngine {
  readonly choice: EngineChoice;
  readonly runsOn: string;
}

/**
 * What an engine's name, `auto` or the path of a llama-server stands for. Throws `engine_unavailable` where the
 * llama-server that it means does not run, `usage` for anything else.
 */
export async function engineToUse(
  given: string,
  { folder, pathVariable, llamaServerPath }: UseOptions,
): Promise<UsedEngine> {
  if (given === "auto") return { choice: NO_CHOICE, runsOn: "llama-server where there is one, else on node-llama-cpp" };
  const keepingPath = async (engine: EngineId): Promise<EngineChoice> => ({
    ...(await readEngineChoice(folder)),
    engine,
  });
  if (given === "node-llama-cpp") return { choice: await keepingPath(given), runsOn: given };
  if (given === "llama-server") {
    const runsOn = textOf(await findLlamaServer(folder, await llamaServerPath(), pathVariable));
    return { choice: await keepingPath(given), runsOn };
  }
  if (/[/\\.]/u.test(given)) {
    const path = resolve(given);
    return {
      runsOn: textOf(await inspectLlamaServer(path, "chosen")),
      choice: { engine: "llama-server", llamaServerPath: path },
    };
  }
  throw new AssistantError("usage", `Expected llama-server, node-llama-cpp, auto or a path, and got "${given}".`, {
    param: "ENGINE",
    remedy: "A program in this directory is named with ./ before it.",
  });
}

function textOf(server: FoundEngine): string {
  if (!server.available) throw new AssistantError("engine_unavailable", server.reason, { remedy: server.remedy });
  return `llama-server ${server.version} at ${server.path}`;
}
