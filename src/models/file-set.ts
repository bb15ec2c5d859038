import { createHash } from "node:crypto";
import { basename } from "node:path";
import { AssistantError } from "../core/errors.ts";

export type FileRole = "weights" | "projector";

/** One of the files of a model, as its manifest lists them. */
export interface ModelFileFacts {
  /** Within the model's folder. */
  readonly name: string;
  readonly role: FileRole;
  readonly bytes: number;
  /** Lower-case hex. */
  readonly sha256: string;
}

/** Files that make one model: its weights in one or several parts, and the projector that goes with them. */
export interface FileSet {
  /** In the order of their numbers. */
  readonly weights: readonly [string, ...string[]];
  readonly projector: string | null;
}

const PART = /^(.*)-(\d{5})-of-(\d{5})\.gguf$/i;
const PROJECTOR = /mmproj/i;
/** Importance matrices and the like are GGUF files too, and no models. */
const NO_MODEL = /imatrix/i;
/** A projector is small next to its model; in half precision it works on every backend. */
const PROJECTOR_ORDER = [/(^|[^b])f16/i, /bf16/i, /q8_0/i, /f32/i];

export const isPart = (file: string): boolean => PART.test(file);
const isProjector = (file: string): boolean => PROJECTOR.test(basename(file));

/** The names of all parts of the model that `file` belongs to, or just `file`. */
export function partsOf(file: string): [string, ...string[]] {
  const [, stem, , count] = PART.exec(file) ?? [];
  if (stem === undefined || count === undefined || Number(count) < 1) return [file];
  const named = (number: number): string => `${stem}-${String(number).padStart(5, "0")}-of-${count}.gguf`;
  return [named(1), ...Array.from({ length: Number(count) - 1 }, (_, index) => named(index + 2))];
}

/**
 * The models among these files (paths or names), in order. Parts of which one is missing are left out; `missing` lists
 * those that are.
 */
export function modelsAmong(files: readonly string[]): { readonly models: FileSet[]; readonly missing: string[] } {
  const there = new Set(files);
  const weights = files.filter((file) => /\.gguf$/i.test(file) && !isProjector(file) && !NO_MODEL.test(basename(file)));
  const projector = projectorAmong(files);
  const models: FileSet[] = [];
  const missing: string[] = [];
  for (const file of weights) {
    const parts = partsOf(file);
    // Each set once, by the first of its parts that is there.
    if (parts.find((part) => there.has(part)) !== file) continue;
    const absent = parts.filter((part) => !there.has(part));
    missing.push(...absent);
    if (absent.length === 0) models.push({ weights: parts, projector });
  }
  return { models, missing };
}

/** The projector to use if there are several precisions of it. */
export function projectorAmong(files: readonly string[]): string | null {
  const all = files.filter((file) => /\.gguf$/i.test(file) && isProjector(file));
  const [preferred] = PROJECTOR_ORDER.flatMap((precision) => all.filter((file) => precision.test(basename(file))));
  return preferred ?? all[0] ?? null;
}

/** Digest of several files: that of their list as `sha256sum` prints it, by name. */
export function digestOfSet(files: readonly Pick<ModelFileFacts, "name" | "sha256">[]): string {
  const lines = files
    .map(({ name, sha256 }) => `${sha256}  ${name}\n`)
    .sort((a, b) => (a.slice(64) < b.slice(64) ? -1 : 1));
  return createHash("sha256").update(lines.join("")).digest("hex");
}

export const isFileName = (name: string): boolean => /^[A-Za-z0-9][A-Za-z0-9._-]{0,199}\.gguf$/i.test(name);

/** `name` itself, or `usage`: a file of a set keeps its name, as llama.cpp finds parts by it. */
export function checkFileName(name: string): string {
  if (isFileName(name)) return name;
  throw new AssistantError("usage", `${JSON.stringify(name)} cannot be the name of one of several files of a model.`, {
    param: "reference",
    remedy: 'Expected letters, digits, ".", "_" and "-", ending in ".gguf".',
  });
}
