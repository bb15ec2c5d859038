import type { ApiKey, KeyScope } from "../../core/config.ts";
import { AssistantError } from "../../core/errors.ts";
import type { ModelSpec } from "../../core/model.ts";
import type { DoorContext, ModelDirectory } from "../ports.ts";

const USUAL: readonly KeyScope[] = ["inference"];
const WHAT: Readonly<Record<KeyScope, string>> = { inference: "use models", metrics: "read metrics", admin: "call the admin API" };

/** Throws `insufficient_scope`. `key` null: none was asked for. */
export function requireScope(key: ApiKey | null, scope: KeyScope): void {
  if (key === null || (key.scopes ?? USUAL).includes(scope)) return;
  throw new AssistantError("insufficient_scope", `The API key "${key.name}" may not ${WHAT[scope]}.`, {
    remedy: `Use another key, or add "${scope}" to the \`scopes\` of its entry under \`[[server.api_key_sha256]]\`.`,
  });
}

/** Whether the key may use the model, which its entry may name by an alias. */
export const mayUse = (key: ApiKey | null, model: Pick<ModelSpec, "name" | "aliases">): boolean =>
  key?.models === undefined || key.models.includes(model.name) || model.aliases.some((alias) => key.models?.includes(alias));

/** Throws `insufficient_scope` where the key may not use the model. */
export function requireModel(key: ApiKey | null, model: Pick<ModelSpec, "name" | "aliases">): void {
  if (mayUse(key, model)) return;
  throw new AssistantError("insufficient_scope", `The API key "${key?.name}" may not use the model "${model.name}".`, {
    param: "model",
    remedy: "`GET /v1/models` lists those it may use; add the name to the `models` of its entry under `[[server.api_key_sha256]]`.",
  });
}

/** The models as the holder of a key sees them: others are not listed, and asking for one throws `insufficient_scope`. */
export function directoryFor(key: ApiKey | null, directory: ModelDirectory): ModelDirectory {
  if (key?.models === undefined) return directory;
  return {
    find(name) {
      const model = directory.find(name);
      if (model !== undefined) requireModel(key, model);
      return model;
    },
    all: () => directory.all().filter((model) => mayUse(key, model)),
    createdAt: (name) => directory.createdAt(name),
  };
}

const contexts = new WeakMap<ApiKey, WeakMap<DoorContext, DoorContext>>();

/** What a door works with for the holder of a key. */
export function contextFor(key: ApiKey | null, context: DoorContext): DoorContext {
  if (key?.models === undefined) return context;
  const known = contexts.get(key) ?? new WeakMap<DoorContext, DoorContext>();
  contexts.set(key, known);
  const own = known.get(context) ?? { ...context, directory: directoryFor(key, context.directory) };
  known.set(context, own);
  return own;
}
