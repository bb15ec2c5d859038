import type { ModelSpec } from "../../../core/model.ts";
import type { ModelDirectory } from "../../../inference/resolve.ts";

/** A name in Ollama's format, which always has a tag. `reference`: what was pulled under the name, or null. */
export function displayed(name: string, reference: string | null): string {
  const pulled = /^ollama:(.+)$/.exec(reference ?? "")?.[1];
  if (pulled !== undefined && storeName(pulled) === name) return pulled;
  return name.includes(":") ? name : `${name}:latest`;
}

/** The name of a model created by a client: its last part as written, without the tag `latest`. */
export const ownName = (written: string): string =>
  written.slice(written.lastIndexOf("/") + 1).replace(/:latest$/i, "");

/**
 * The store's name for Ollama's `[HOST/][NAMESPACE/]NAME[:TAG]`: its last part, with the tag after a dash. The tag
 * `latest` is omitted.
 */
export function storeName(written: string): string {
  const name = written.slice(written.lastIndexOf("/") + 1);
  return name.replace(/:latest$/i, "").replaceAll(":", "-");
}

/**
 * The model meant by an Ollama client: by its name or alias as written, without `:latest`, or by its name in the store,
 * in any letter case.
 */
export function findModel(directory: ModelDirectory, written: string): ModelSpec | undefined {
  const names = [written, written.replace(/:latest$/i, ""), storeName(written)];
  const exact = names.map((name) => directory.find(name)).find((model) => model !== undefined);
  if (exact !== undefined) return exact;
  const lower = new Set(names.map((name) => name.toLowerCase()));
  return directory.all().find((model) => [model.name, ...model.aliases].some((name) => lower.has(name.toLowerCase())));
}
