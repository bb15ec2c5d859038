import type { Config } from "../core/config.ts";
import type { ModelSpec } from "../core/model.ts";
import { canonicalJson } from "./fingerprint.ts";

/** The actions of a reload. Models in none of the lists are unchanged. */
export interface ModelDiff {
  readonly added: readonly ModelSpec[];
  /** As they were before. */
  readonly removed: readonly ModelSpec[];
  /** New specifications whose running instances must be drained and restarted. */
  readonly restart: readonly ModelSpec[];
  /** New specifications with which running instances can continue. */
  readonly updated: readonly ModelSpec[];
}

/**
 * What differs and only a restart of the daemon brings into force, by name. `started`: the configuration that it began
 * with.
 */
export function restartSettings(started: Pick<Config, "fixed">, now: Pick<Config, "fixed">): string[] {
  const names = new Set([...Object.keys(started.fixed), ...Object.keys(now.fixed)]);
  return [...names].filter((name) => started.fixed[name] !== now.fixed[name]);
}

export function diffModels(before: Pick<Config, "models">, after: Pick<Config, "models">): ModelDiff {
  const old = new Map(before.models.map((model) => [model.name, model]));
  const names = new Set(after.models.map((model) => model.name));
  const changed = after.models.filter(
    (model) => old.has(model.name) && canonicalJson(old.get(model.name)) !== canonicalJson(model),
  );
  return {
    added: after.models.filter((model) => !old.has(model.name)),
    removed: before.models.filter((model) => !names.has(model.name)),
    restart: changed.filter((model) => old.get(model.name)?.fingerprint !== model.fingerprint),
    updated: changed.filter((model) => old.get(model.name)?.fingerprint === model.fingerprint),
  };
}
