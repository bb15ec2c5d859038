import { AssistantError, toAssistantError } from "../../../src/core/errors.ts";
import type { Configured } from "../../../src/models/configure.ts";
import { modelsOfOllama } from "../../../src/models/pull/ollama.ts";
import type { PulledModel } from "../../../src/models/pull.ts";
import { type PullRequest, pullAndConfigure } from "./pull.ts";

export interface Imported {
  readonly models: readonly (PulledModel & { readonly configuration: Configured })[];
  /** Of several models, those that could not be taken over. */
  readonly problems: readonly { readonly reference: string; readonly message: string }[];
}

/**
 * Imports the model at an absolute path, or all models of a folder of Ollama's: one that cannot be read leaves the
 * others.
 */
export async function importModels(
  path: string,
  request: Omit<PullRequest, "allowPrivate" | "from">,
): Promise<Imported> {
  const order = { ...request, allowPrivate: false, from: null };
  const references = await modelsOfOllama(path);
  if (references === null) return { models: [await pullAndConfigure(path, order)], problems: [] };
  if (request.name !== null || request.sha256 !== null)
    throw new AssistantError("usage", `${path} contains Ollama's models, which keep their names.`, {
      param: request.name === null ? "sha256" : "name",
      remedy: `Import one of them: \`OLLAMA_MODELS=${path} assistant pull ollama:NAME --name …\`.`,
    });
  const context = { ...request.context, env: { ...request.context.env, OLLAMA_MODELS: path } };
  const models: Imported["models"][number][] = [];
  const problems: Imported["problems"][number][] = [];
  for (const reference of references) {
    try {
      models.push(await pullAndConfigure(reference, { ...order, context }));
    } catch (error) {
      problems.push({ reference, message: toAssistantError(error).message });
    }
  }
  return { models, problems };
}
