import { basename } from "node:path";
import { AssistantError } from "../../core/errors.ts";
import { nearestNames } from "../../core/nearest.ts";
import { piperConfigFile } from "../../core/piper-voice.ts";
import { type FileSet, isPart, modelsAmong, partsOf, projectorAmong } from "../file-set.ts";
import { formatBytes } from "../format.ts";
import { isVoiceFile, voicesAmong } from "../voice.ts";

/** A file of a repository, as the hub's API lists it. */
export interface RepositoryFile {
  readonly path: string;
  /** Null if the hub does not report it. */
  readonly bytes: number | null;
  /** Lower-case hex, or null. */
  readonly sha256: string | null;
}

export interface Choice {
  readonly repo: string;
  readonly file: string | null;
  readonly quantisation: string | null;
  /** Memory that the model may take; null: no limit. */
  readonly memoryBytes: number | null;
}

/**
 * Quantizations in the order in which they are preferred where none is named: what llama.cpp and Ollama take, its
 * nearest relatives, larger ones, and smaller ones for machines where these do not fit.
 */
const PREFERRED = [
  ..."Q4_K_M UD-Q4_K_XL Q4_K_L Q4_K_S Q4_1 IQ4_NL Q4_0 IQ4_XS MXFP4 Q5_K_M Q5_K_S Q6_K Q8_0".split(" "),
  ..."Q3_K_L UD-Q3_K_XL Q3_K_M IQ3_M Q3_K_S IQ3_XS IQ3_XXS UD-Q2_K_XL Q2_K IQ2_M IQ2_S IQ2_XXS IQ1_M IQ1_S".split(" "),
  ..."BF16 F16 F32".split(" "),
];
/** Cache and buffers come on top of the weights. */
const MEMORY_PER_BYTE = 1.15;

/**
 * The files of one model of a repository. Throws `unknown_source` with what the repository has, or what would fit.
 * Pure.
 */
export function chooseFiles(files: readonly RepositoryFile[], choice: Choice): FileSet {
  const paths = files.map(({ path }) => path);
  const { models, missing } = modelsAmong(paths);
  if (choice.file !== null) return named(choice.file, choice.repo, paths, missing);
  const voices = models.length === 0 ? voicesAmong(paths) : [];
  if (voices.length > 0) return { weights: [onlyVoice(voices, choice)], projector: null };
  const matching = choice.quantisation === null ? models : ofQuantization(models, choice.quantisation);
  const [first] = matching;
  if (first === undefined) {
    const wanted = choice.quantisation === null ? "GGUF file" : `GGUF file of quantization ${choice.quantisation}`;
    throw unknown(
      `${choice.repo} has no ${wanted}.`,
      models.length > 0
        ? `It has ${models
            .slice(0, 12)
            .map(({ weights: [file] }) => file)
            .join(", ")}.`
        : "It has no GGUF files at all; look for a repository with GGUF in its name.",
    );
  }
  const set = choice.quantisation === null ? fitting(models, files, choice) : first;
  return { ...set, projector: projectorAmong(paths) };
}

/** A repository without GGUF files may hold Piper voices, of which a tag is the name. */
function onlyVoice(voices: readonly string[], { repo, quantisation }: Choice): string {
  const matching = voices.filter((file) => quantisation === null || basename(file, ".onnx") === quantisation);
  const [voice, other] = matching;
  if (voice !== undefined && other === undefined) return voice;
  const near = nearestNames(quantisation ?? "", voices, 3);
  throw unknown(
    `${repo} has ${voices.length} Piper voices${quantisation === null ? "" : `, and not one called ${quantisation}`}.`,
    `Name one, such as hf:${repo}/${near[0] ?? voices[0]}.`,
  );
}

function named(file: string, repo: string, paths: readonly string[], missing: readonly string[]): FileSet {
  if (!paths.includes(file)) {
    const near = nearestNames(file, paths, 5);
    throw unknown(`${repo} has no ${file}.`, near.length > 0 ? `It has ${near.join(", ")}.` : null);
  }
  if (isVoiceFile(file)) {
    if (voicesAmong(paths).includes(file)) return { weights: [file], projector: null };
    throw unknown(`${repo} has ${file} without ${piperConfigFile(file)}, so that it is no Piper voice.`, null);
  }
  const parts = isPart(file) ? partsOf(file) : ([file] as const);
  const absent = parts.filter((part) => missing.includes(part));
  if (absent.length > 0)
    throw unknown(`${repo} does not have all parts of ${file}: ${absent.join(", ")} is missing.`, null);
  // A projector requested by its name is pulled on its own.
  const projector = projectorAmong(paths);
  return { weights: parts, projector: projector === file || /mmproj/i.test(basename(file)) ? null : projector };
}

/**
 * Matches `Q4_K_M` in `tiny-Q4_K_M.gguf`, `tiny.Q4_K_M.gguf` and `Q4_K_M/tiny-00001-of-00002.gguf`; plainer names
 * first.
 */
function ofQuantization(models: readonly FileSet[], tag: string): FileSet[] {
  const pattern = new RegExp(`(^|[-./])${tag.toLowerCase().replaceAll(".", "\\.")}([-./]|$)`);
  return models
    .filter(({ weights: [path] }) => pattern.test(path.toLowerCase().replace(/(-\d{5}-of-\d{5})?\.gguf$/, "")))
    .sort((a, b) => a.weights[0].length - b.weights[0].length);
}

function fitting(models: readonly FileSet[], files: readonly RepositoryFile[], { repo, memoryBytes }: Choice): FileSet {
  const sizeOf = ({ weights }: FileSet): number =>
    weights.reduce((sum, path) => sum + (files.find((file) => file.path === path)?.bytes ?? 0), 0);
  const ordered = [...new Set([...PREFERRED.flatMap((tag) => ofQuantization(models, tag)), ...models])];
  const fits = ordered.find((set) => memoryBytes === null || sizeOf(set) * MEMORY_PER_BYTE <= memoryBytes);
  if (fits !== undefined) return fits;
  const [smallest] = ordered.toSorted((a, b) => sizeOf(a) - sizeOf(b));
  const path = smallest?.weights[0] ?? "";
  throw unknown(
    `No quantization of ${repo} fits the ${formatBytes(memoryBytes ?? 0)} of memory of this machine; the smallest takes ${formatBytes(smallest === undefined ? 0 : sizeOf(smallest) * MEMORY_PER_BYTE)}.`,
    `Pull a smaller model, or this one anyway: \`assistant pull hf:${repo}/${path}\`.`,
  );
}

const unknown = (message: string, remedy: string | null): AssistantError =>
  new AssistantError("unknown_source", message, { param: "reference", ...(remedy === null ? {} : { remedy }) });
