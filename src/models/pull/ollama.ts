import { readdir, readFile } from "node:fs/promises";
import { join, relative } from "node:path";
import { AssistantError } from "../../core/errors.ts";
import { nameFromFile } from "../names.ts";
import type { Reference } from "../reference.ts";
import { httpSource } from "./http.ts";
import { HttpFailure, inWords } from "./http-failure.ts";
import { type HttpAccess, httpSession, textOf } from "./http-session.ts";
import { localSource } from "./local.ts";
import { defaultTiming, nothingKnown, type PullOptions, type Source, type WantedFile } from "./types.ts";

type OllamaReference = Extract<Reference, { type: "ollama" }>;

interface Layer {
  readonly mediaType: string;
  /** `sha256:HEX`. */
  readonly digest: string;
  readonly size: number;
}

const MANIFEST_TYPE = "application/vnd.docker.distribution.manifest.v2+json";
const LAYER = "application/vnd.ollama.image.";
/** Where Ollama stores models when it runs as a system service. */
const SYSTEM_FOLDER = "/usr/share/ollama/.ollama/models";

/**
 * The files of a model of Ollama: from its folder on this machine, where it is linked, else from the registry.
 * Template, parameters and system prompt of the Ollama model are not taken over: the template is in the weights.
 */
export async function findOllamaFiles(
  reference: OllamaReference,
  options: PullOptions,
  signal: AbortSignal,
): Promise<{ name: string; licence: null; files: readonly [WantedFile, ...WantedFile[]] }> {
  const { path, tag } = reference;
  const folder = await folderWith(reference, options.env);
  const manifest = folder === null ? await registryManifest(reference, options, signal) : folder.manifest;
  const layers = layersOf(manifest, reference);
  const wanted =
    (role: WantedFile["role"]) =>
    (layer: Layer): WantedFile => {
      const sha256 = layer.digest.slice("sha256:".length);
      const local = folder === null ? [] : [localSource(join(folder.path, "blobs", `sha256-${sha256}`))];
      return {
        name: `${role === "weights" ? "model" : "mmproj"}.gguf`,
        role,
        expected: { bytes: layer.size, sha256 },
        sources: [...local, blobSource(reference, layer.digest, options)],
      };
    };
  const of = (kind: string): Layer[] => layers.filter(({ mediaType }) => mediaType === `${LAYER}${kind}`);
  if (of("adapter").length > 0)
    throw new AssistantError(
      "unknown_source",
      `${reference.path}:${tag} is a LoRA adapter on top of another model, which cannot be pulled from Ollama.`,
      {
        param: "reference",
        remedy: "Pull the base model, and load the adapter with it.",
      },
    );
  const [weights, ...more] = of("model").map(wanted("weights"));
  if (weights === undefined || more.length > 0)
    throw new AssistantError(
      "unknown_source",
      `${reference.path}:${tag} has ${weights === undefined ? "no" : "several"} weights in GGUF format.`,
      { param: "reference", remedy: "Pull the model from Hugging Face: hf:ORG/REPO." },
    );
  const name = nameFromFile(`${path.slice(path.lastIndexOf("/") + 1)}${tag === "latest" ? "" : `-${tag}`}`);
  return { name, licence: null, files: [weights, ...of("projector").slice(0, 1).map(wanted("projector"))] };
}

/** The folders in which Ollama may keep models here. */
const foldersOf = (env: PullOptions["env"]): string[] => {
  const chosen = env["OLLAMA_MODELS"];
  if (chosen) return [chosen];
  const home = env["HOME"];
  return [...(home ? [join(home, ".ollama/models")] : []), SYSTEM_FOLDER];
};

/** References of all models in a folder that Ollama keeps, or null where the folder is none. */
export async function modelsOfOllama(folder: string): Promise<string[] | null> {
  const names: string[] = await readdir(folder).catch(() => []);
  if (!names.includes("manifests") || !names.includes("blobs")) return null;
  const root = join(folder, "manifests");
  const entries = await readdir(root, { recursive: true, withFileTypes: true });
  return entries
    .filter((entry) => entry.isFile())
    .map((entry) => relative(root, join(entry.parentPath, entry.name)).split("/"))
    .filter((parts) => parts.length === 4)
    .map((parts) => `ollama:${parts.slice(0, 3).join("/")}:${parts[3]}`)
    .toSorted();
}

async function folderWith(
  { host, path, tag }: OllamaReference,
  env: PullOptions["env"],
): Promise<{ path: string; manifest: string } | null> {
  for (const folder of foldersOf(env)) {
    // The parts of a reference hold no separators, and none of them is "..": see the pattern that reads them.
    const manifest = await readFile(join(folder, "manifests", host, ...path.split("/"), tag), "utf8").catch(() => null);
    if (manifest !== null) return { path: folder, manifest };
  }
  return null;
}

function registryOf({ host, path }: OllamaReference, options: PullOptions): { base: URL; access: HttpAccess } {
  const mirror = options.env["OLLAMA_REGISTRY"] || null;
  const text = mirror ?? `https://${host}`;
  if (!URL.canParse(text) || !/^https?:/i.test(text))
    throw new AssistantError("usage", `OLLAMA_REGISTRY must be an http(s) address, found ${JSON.stringify(text)}.`, {
      param: "OLLAMA_REGISTRY",
    });
  return {
    base: new URL(`/v2/${path}/`, text),
    // A mirror that the user names may well stand in the user's own network.
    access: { allowPrivate: mirror !== null || (options.allowPrivate ?? false), bearer: null },
  };
}

function blobSource(reference: OllamaReference, digest: string, options: PullOptions): Source {
  const { base, access } = registryOf(reference, options);
  return httpSource(`${base.host}/${reference.path}`, new URL(`blobs/${digest}`, base), access);
}

async function registryManifest(
  reference: OllamaReference,
  options: PullOptions,
  signal: AbortSignal,
): Promise<string> {
  const { base, access } = registryOf(reference, options);
  const timing = { ...defaultTiming, ...options.timing };
  try {
    await using session = httpSession({ env: options.env, timing, signal, expected: nothingKnown }, access);
    const answer = await session.get(new URL(`manifests/${reference.tag}`, base), { accept: MANIFEST_TYPE });
    if (answer.status !== 200) {
      const missing = `there is no model ${reference.path}:${reference.tag}`;
      throw new HttpFailure(answer.status, answer.status === 404 ? missing : null);
    }
    return await textOf(answer.body);
  } catch (error) {
    signal.throwIfAborted();
    const missing = error instanceof HttpFailure && error.status === 404;
    const told = inWords(error, base, timing) as Error;
    throw new AssistantError(missing ? "unknown_source" : "pull_failed", `${base.host}: ${told.message}.`, {
      param: "reference",
      remedy: missing
        ? "Check name and tag; https://ollama.com/search lists the models."
        : "Check the network (HTTPS_PROXY is honoured) and try again.",
      cause: error,
    });
  }
}

function layersOf(manifest: string, { path, tag }: OllamaReference): Layer[] {
  let layers: unknown;
  try {
    layers = (JSON.parse(manifest) as { layers?: unknown } | null)?.layers;
  } catch {
    layers = null;
  }
  const isLayer = (layer: Partial<Layer> | null): layer is Layer =>
    typeof layer?.mediaType === "string" &&
    /^sha256:[0-9a-f]{64}$/.test(layer.digest ?? "") &&
    Number.isSafeInteger(layer.size);
  if (Array.isArray(layers) && layers.every(isLayer)) return layers;
  throw new AssistantError("pull_failed", `The manifest of ${path}:${tag} cannot be read.`, {
    param: "reference",
    remedy: "Try again; if the problem persists, pull the model from Hugging Face: hf:ORG/REPO.",
  });
}
