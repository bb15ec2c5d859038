import type { ModelSpec } from "../../../core/model.ts";
import type { ModelDirectory } from "../../../inference/resolve.ts";

/** A name as Ollama lists it, which is never without a tag. `reference`: what was pulled under the name, or null. */
export function displayed(name: string, reference: string | null): string {
  const pulled = /^ollama:(.+)$/.exec(reference ?? "")?.[1];
  if (pulled !== undefined && storeName(pulled) === name) return pulled;
  return name.includes(":") ? name : `${name}:latest`;
}

/** The name of a model that a client makes: its last part as it is written, but for the tag that says nothing. */
export const ownName = (written: string): string =>
  written.slice(written.lastIndexOf("/") + 1).replace(/:latest$/i, "");

/**
 * The name in the store of what Ollama's users call `[HOST/][NAMESPACE/]NAME[:TAG]`: its last part, with the tag behind
 * a dash. The tag `latest` says nothing.
 */
export function storeName(written: string): string {
  const name = written.slice(written.lastIndexOf("/") + 1);
  return name.replace(/:latest$/i, "").replaceAll(":", "-");
}

/**
 * The model that an Ollama client means: by its name or alias as written, without `:latest`, or by its name in the
 * store, in any letter case.
 */
export function findModel(directory: ModelDirectory, written: string): ModelSpec | undefined {
  const names = [written, written.replace(/:latest$/i, ""), storeName(written)];
  const exact = names.map((name) => directory.find(name)).find((model) => model !== undefined);
  if (exact !== undefined) return exact;
  const lower = new Set(names.map((name) => name.toLowerCase()));
  return directory.all().find((model) => [model.name, ...model.aliases].some((name) => lower.has(name.toLowerCase())));
}
