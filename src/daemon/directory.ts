import type { Config } from "../core/config.ts";
import type { ModelSpec } from "../core/model.ts";

/** The configured models by name and alias. Replaced as a whole by a reload. */
export class Directory {
  #byName = new Map<string, ModelSpec>();
  #models: readonly ModelSpec[] = [];
  #createdAt = new Map<string, number>();

  replace(config: Config, now: number): void {
    this.#models = config.models;
    this.#byName = new Map();
    // Names win over aliases, whatever the order of files: the loader has refused real clashes already.
    for (const model of config.models) for (const alias of model.aliases) this.#byName.set(alias, model);
    for (const model of config.models) this.#byName.set(model.name, model);
    for (const model of config.models) if (!this.#createdAt.has(model.name)) this.#createdAt.set(model.name, now);
  }

  find(nameOrAlias: string): ModelSpec | undefined {
    return this.#byName.get(nameOrAlias);
  }

  all(): readonly ModelSpec[] {
    return this.#models;
  }

  /** Epoch milliseconds at which this daemon first knew the model. */
  createdAt(name: string): number {
    return this.#createdAt.get(name) ?? 0;
  }
}
