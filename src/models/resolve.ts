import { stat } from "node:fs/promises";
import { AssistantError } from "../core/errors.ts";
import type { ModelSource } from "../core/model.ts";
import { nearestNames } from "../core/nearest.ts";
import { catalog, catalogEntry } from "./catalog.ts";
import { checkGguf, type GgufHeader } from "./gguf-header.ts";
import { findByReference, listModels, type ModelStore } from "./store.ts";

/** Where a model's weights are on this machine, whatever is in the file. Throws `model_not_pulled` as `resolveWeights` does. */
export const locateWeights = (source: ModelSource, store: ModelStore): Promise<string> =>
  source.type === "file" ? existing(source.path) : stored(source, store);

/**
 * The absolute path of a model's weights on this machine. A `catalog` source is any name of the store, so that imported
 * files are configured by name too. Throws `model_not_pulled` with the command that brings it, or `model_invalid` for
 * a file that is no whole GGUF. Reads the header only.
 */
export async function resolveWeights(source: ModelSource, store: ModelStore): Promise<string> {
  const file = await locateWeights(source, store);
  await checkWeights(file);
  return file;
}

/** What the header of weights says. Throws `model_invalid`. */
export async function checkWeights(file: string): Promise<GgufHeader> {
  return await checkGguf(file).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== "EACCES") throw error;
    throw new AssistantError("model_invalid", `${file} cannot be read: permission denied.`, {
      remedy: "Make the file readable for the user that runs the daemon.",
      cause: error,
    });
  });
}

async function existing(path: string): Promise<string> {
  const found = await stat(path).catch(() => null);
  if (found?.isFile()) return path;
  throw new AssistantError(
    "model_not_pulled",
    `The weights ${path} are not there${found === null ? "" : " (it is not a file)"}.`,
    {
      param: "source",
      remedy: "Correct the path in the model's file, or write a name that `assistant pull` knows as its `source`.",
    },
  );
}

async function stored(source: Exclude<ModelSource, { type: "file" }>, store: ModelStore): Promise<string> {
  const reference = source.type === "catalog" ? catalogName(source.name) : `hf:${source.repo}/${source.file}`;
  const model = await findByReference(store, reference);
  if (model !== null) return model.file;
  throw new AssistantError("model_not_pulled", `The weights of ${reference} are not on this machine.`, {
    param: "source",
    remedy: await remedy(source, reference, store),
  });
}

/** As `pull` reads it: letter case and `:latest` do not matter for names of the catalog. */
function catalogName(name: string): string {
  return catalogEntry(name.replace(/:latest$/, ""))?.name ?? name;
}

async function remedy(source: ModelSource, reference: string, store: ModelStore): Promise<string> {
  if (source.type === "huggingface" || catalogEntry(reference) !== null) return `Run \`assistant pull ${reference}\`.`;
  const names = [...(await listModels(store)).map((model) => model.name), ...catalog.map((entry) => entry.name)];
  const near = nearestNames(reference, new Set(names));
  return near.length > 0
    ? `Did you mean ${near.join(" or ")}?`
    : `The catalog has no ${reference}: run \`assistant pull hf:ORG/REPO/FILE.gguf --name ${reference}\`, or import a local file.`;
}
