import type { Config } from "../core/config.ts";
import { answers, type Capabilities, type ModelSpec, type Operation } from "../core/model.ts";
import type { RemoteCandidate, RemoteDelta } from "../core/remote.ts";
import { CapabilityIndex, type Offer } from "../inference/capability-index.ts";

/**
 * The configured models by name and alias, and behind them those that only other machines have. Each replaced as a
 * whole.
 */
export class Directory {
  #byName = new Map<string, ModelSpec>();
  #models: readonly ModelSpec[] = [];
  /** By name, and by name and alias. */
  #remote = new Map<string, ModelSpec>();
  #remoteByName = new Map<string, ModelSpec>();
  #candidates = new Map<string, RemoteCandidate>();
  /** Created on first use after a change. */
  #offers: CapabilityIndex | null = null;
  #createdAt = new Map<string, number>();
  readonly #capabilities: (model: ModelSpec) => Capabilities;

  /** `capabilities`: what a model is currently known to offer; `replace` reads them again. */
  constructor(capabilities: (model: ModelSpec) => Capabilities = (model) => model.capabilities) {
    this.#capabilities = capabilities;
  }

  replace(
    { models, capabilities = {} }: Pick<Config, "models"> & Partial<Pick<Config, "capabilities">>,
    now: number,
  ): void {
    this.#models = models.map((model) => ({
      ...model,
      capabilities: { ...capabilities, ...this.#capabilities(model) },
    }));
    this.#byName = this.#index(this.#models, now);
    this.#offers = null;
  }

  /** Other machines were added, removed, or reported other models. `candidates`: everything that serves models. */
  replaceRemote(models: readonly ModelSpec[], now: number, candidates: readonly RemoteCandidate[] = []): void {
    this.#offers = null;
    this.#candidates = new Map(candidates.map((candidate) => [candidate.name, candidate]));
    this.#remote = new Map(models.map((model) => [model.name, model]));
    this.#remoteByName = this.#index(models, now);
  }

  /** The same if a few have changed, whose models have no aliases: thousands of others need not be checked. */
  changeRemote({ candidates, gone, models, lostModels }: RemoteDelta, now: number): void {
    // A single candidate may only be busier than before; its capabilities come with a model.
    if (models.length + lostModels.length + gone.length > 0) this.#offers = null;
    for (const name of gone) this.#candidates.delete(name);
    for (const candidate of candidates) this.#candidates.set(candidate.name, candidate);
    for (const name of lostModels) {
      this.#remote.delete(name);
      this.#remoteByName.delete(name);
      if (!this.#byName.has(name)) this.#createdAt.delete(name);
    }
    for (const model of models) {
      this.#remote.set(model.name, model);
      this.#remoteByName.set(model.name, model);
      if (!this.#createdAt.has(model.name)) this.#createdAt.set(model.name, now);
    }
  }

  find(nameOrAlias: string): ModelSpec | undefined {
    return this.#byName.get(nameOrAlias) ?? this.#remoteByName.get(nameOrAlias);
  }

  /**
   * The substitute for models that are not configured, if enabled: the one called `default` if it supports the
   * operation, otherwise the first that does and that `canLoad`. Never a provider's listed model: it may cost money.
   */
  substitute(operation: Operation, canLoad: (name: string) => boolean): ModelSpec | undefined {
    const fitting = (model: ModelSpec | undefined): boolean => model !== undefined && answers(model, operation);
    const named = this.find("default");
    const isOffer = ({ file, source }: ModelSpec): boolean => file === "" && source.type === "provider";
    return fitting(named)
      ? named
      : this.all().find((model) => fitting(model) && !isOffer(model) && canLoad(model.name));
  }

  all(): readonly ModelSpec[] {
    return this.#remote.size === 0 ? this.#models : [...this.#models, ...this.#remote.values()];
  }

  /** What is offered: by each model, and where those that serve it differ, by each of them. */
  offers(): CapabilityIndex {
    this.#offers ??= new CapabilityIndex(this.#listOffers());
    return this.#offers;
  }

  *#listOffers(): Generator<Offer> {
    // Of a model of this machine, its own entry says what it offers.
    for (const model of this.#models) yield { model, capabilities: model.capabilities };
    const told = new Map<ModelSpec, Set<string>>();
    for (const { models } of this.#candidates.values())
      for (const [name, { capabilities }] of models) {
        const model = this.#remoteByName.get(name);
        if (model === undefined || capabilities === undefined) continue;
        const text = JSON.stringify(capabilities);
        const known = told.get(model) ?? new Set();
        told.set(model, known);
        if (known.has(text)) continue;
        known.add(text);
        yield { model, capabilities };
      }
    for (const model of this.#remote.values()) if (!told.has(model)) yield { model, capabilities: model.capabilities };
  }

  /** Those of this machine's own files. */
  own(): readonly ModelSpec[] {
    return this.#models;
  }

  /** Those that only other machines have. */
  remote(): readonly ModelSpec[] {
    return [...this.#remote.values()];
  }

  /** Whether a model of this machine's own files has this name or alias. */
  isConfigured(nameOrAlias: string): boolean {
    return this.#byName.has(nameOrAlias);
  }

  /** Epoch milliseconds at which this daemon first knew the model. */
  createdAt(name: string): number {
    return this.#createdAt.get(name) ?? 0;
  }

  #index(models: readonly ModelSpec[], now: number): Map<string, ModelSpec> {
    const byName = new Map<string, ModelSpec>();
    // Names win over aliases, whatever the order of files: the loader has refused real clashes already.
    for (const model of models) for (const alias of model.aliases) byName.set(alias, model);
    for (const model of models) byName.set(model.name, model);
    for (const model of models) if (!this.#createdAt.has(model.name)) this.#createdAt.set(model.name, now);
    return byName;
  }
}
