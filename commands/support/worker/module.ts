import { registerHooks } from "node:module";
import { pathToFileURL } from "node:url";
import { AssistantError } from "../../../src/core/errors.ts";
import { programFile } from "../../../src/core/package.ts";

const SDK = "assistant/worker";

/** Users' modules import the SDK by its name, although no package of this name is installed next to them. */
export function knowSdk(): void {
  const url = pathToFileURL(programFile("src/workers/sdk/index")).href;
  registerHooks({
    resolve: (specifier, context, next) => (specifier === SDK ? { url, shortCircuit: true } : next(specifier, context)),
  });
}

/** Loads a user's module. Throws `config_invalid`. */
export async function importModule(file: string): Promise<Readonly<Record<string, unknown>>> {
  try {
    return (await import(pathToFileURL(file).href)) as Readonly<Record<string, unknown>>;
  } catch (error) {
    throw new AssistantError("config_invalid", `${file} cannot be loaded: ${(error as Error).message}`, {
      remedy: "TARGET is a layout that ends in .yaml, or the path of a JavaScript or TypeScript module.",
      cause: error,
    });
  }
}
