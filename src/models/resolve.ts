import { stat } from "node:fs/promises";
import { AssistantError } from "../core/errors.ts";
import type { ModelKind, ModelSource } from "../core/model.ts";
import { nearestNames } from "../core/nearest.ts";
import { catalog, catalogEntry } from "./catalog.ts";
import { checkGguf, type GgufHeader, type ReadHeader, readGguf } from "./gguf-header.ts";
import { findByReference, listModels, type ModelStore } from "./store.ts";
import { checkVoice, isVoiceFile } from "./voice.ts";

/**
 * The location of a model's weights on this machine, whatever the file contains. Throws `model_not_pulled` like
 * `resolveWeights`. Sources that only the model's own program understands are returned unchanged.
 */
export async function locateWeights(source: ModelSource, store: ModelStore): Promise<string> {
  if (source.type === "opaque") return source.reference;
  if (source.type === "file") return await existing(source.path);
  if (source.type !== "provider" && source.type !== "worker" && source.type !== "pipeline")
    return await stored(source, store);
  const servers = serversOf(source);
  throw new AssistantError("model_not_pulled", `The model is served by ${servers}: it has no weights on this machine.`);
}

/**
 * The absolute path of a model's weights on this machine; what an `opaque` source says, as it is. A `catalog` source is
 * any name of the store, so that imported files are configured by name too. Throws `model_not_pulled` with the command
 * that brings it, or `model_invalid` for a file that is no whole GGUF, or no model of that kind. Reads the header only.
 */
export async function resolveWeights(source: ModelSource, store: ModelStore, kind?: ModelKind): Promise<string> {
  const file = await locateWeights(source, store);
  if (source.type !== "opaque") await checkWeights(file, kind);
  return file;
}

/**
 * What the header of weights says; null of a voice, which has none. Throws `model_invalid`, also where they are not
 * made for that kind of model.
 */
export async function checkWeights(
  file: string,
  kind?: ModelKind,
  read: ReadHeader = readGguf,
): Promise<GgufHeader | null> {
  const speaks = isVoiceFile(file);
  if (kind !== undefined && speaks !== (kind === "speech"))
    throw new AssistantError(
      "model_invalid",
      speaks ? `${file} is a voice, and cannot generate text.` : `${file} is not a voice.`,
      { remedy: `Configure it under ${speaks ? "[tts]" : "[chat] or [embedding]"}, or name another file.` },
    );
  if (speaks) {
    await checkVoice(file).catch(explained(file));
    return null;
  }
  const header = await checkGguf(file, read).catch(explained(file));
  // Without the head llama.cpp ranks by whatever number comes first in a vector.
  if (kind === "rerank" && !header.ranks)
    throw new AssistantError("model_invalid", `${file} is not a reranking model: it has no classification head.`, {
      remedy:
        "Use a reranker's GGUF file, whose tensors begin with `cls`; or configure this one under [embedding] or " +
        "[chat].",
    });
  return header;
}

/** What the header of a projector says; null for no path. Throws `model_not_pulled` and `model_invalid`. */
export async function checkProjector(path: string, read: ReadHeader = readGguf): Promise<GgufHeader | null> {
  if (path === "") return null;
  if ((await stat(path).catch(() => null)) === null)
    throw new AssistantError("model_not_pulled", `The projector ${path} does not exist.`, {
      param: "llava_mmproj",
      remedy: "Correct `llava_mmproj` in the model's file, or pull the model again.",
    });
  const header = await read(path).catch(explained(path));
  if (header.capabilities["type"] === "projector") return header;
  throw new AssistantError("model_invalid", `${path} is not a multimodal projector.`, {
    param: "llava_mmproj",
    remedy: "Write the path of the projector (usually named mmproj) that belongs to the model.",
  });
}

const explained = (file: string) => (error: NodeJS.ErrnoException) => {
  if (error.code !== "EACCES") throw error;
  throw new AssistantError("model_invalid", `${file} cannot be read: permission denied.`, {
    remedy: "Make the file readable for the user that runs the daemon.",
    cause: error,
  });
};

/** Sources whose weights are in the store. */
type Stored = Exclude<ModelSource, { type: "file" | "opaque" } | WithoutWeights>;
type WithoutWeights = Extract<ModelSource, { type: "provider" | "worker" | "pipeline" }>;

/** The server of a model without weights. */
function serversOf(source: WithoutWeights): string {
  if (source.type === "worker") return "registered workers";
  return source.type === "pipeline" ? source.file : source.offers.map(({ provider }) => provider).join(", ");
}

async function existing(path: string): Promise<string> {
  const found = await stat(path).catch(() => null);
  if (found?.isFile()) return path;
  throw new AssistantError(
    "model_not_pulled",
    `The weights ${path} do not exist${found === null ? "" : " (it is not a file)"}.`,
    {
      param: "source",
      remedy: "Correct the path in the model's file, or set `source` to a name that `assistant pull` knows.",
    },
  );
}

async function stored(source: Stored, store: ModelStore): Promise<string> {
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

async function remedy(source: Stored, reference: string, store: ModelStore): Promise<string> {
  if (source.type === "huggingface" || catalogEntry(reference) !== null) return `Run \`assistant pull ${reference}\`.`;
  const names = [...(await listModels(store)).map((model) => model.name), ...catalog.map((entry) => entry.name)];
  const near = nearestNames(reference, new Set(names));
  return near.length > 0
    ? `Did you mean ${near.join(" or ")}?`
    : `The catalog has no ${reference}: run \`assistant pull hf:ORG/REPO/FILE.gguf --name ${reference}\`, or import a local file.`;
}
