import { isDeepStrictEqual } from "node:util";
import type { ProviderStatus } from "../api/providers.ts";
import type { Clock } from "../core/clock.ts";
import type { Config } from "../core/config.ts";
import type { ModelSpec } from "../core/model.ts";
import type { Provider } from "../core/provider.ts";
import type { RemoteCandidate } from "../core/remote.ts";
import type { Upstream } from "../core/upstream.ts";
import type { ListedModel } from "../upstreams/connector.ts";
import { connectors } from "../upstreams/connectors.ts";
import { joinedModels } from "./catalog.ts";
import { idleStatus, RemoteProvider } from "./remote-provider.ts";

interface ProvidersLog {
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
}

export interface ProvidersOptions {
  /** This daemon's id in hop lists. */
  readonly nodeId: string;
  readonly clock: Clock;
  readonly random: () => number;
  readonly log: ProvidersLog;
  /** Something in `candidates` or `models` has changed. */
  onChange(): void;
}

/**
 * The providers of the configuration, each with the way to it and what is known of it. To the scheduler each is what
 * another node is.
 */
export class Providers {
  readonly #options: ProvidersOptions;
  readonly #running = new Map<string, RemoteProvider>();
  #config: Pick<Config, "providers" | "models"> = { providers: [], models: [] };
  #closed = false;

  constructor(options: ProvidersOptions) {
    this.#options = options;
  }

  /**
   * Applies a configuration, at start and on reload: only providers with changed entries are reconnected. Resolves once
   * these have been checked.
   */
  async configure(config: Pick<Config, "providers" | "models">): Promise<void> {
    this.#config = config;
    const wanted = new Map(config.providers.filter(({ enabled }) => enabled).map((entry) => [entry.name, entry]));
    let changed = false;
    const looks: Promise<void>[] = [];
    const before = new Map(this.#running);
    for (const [name, running] of this.#running) {
      if (isDeepStrictEqual(wanted.get(name), running.provider)) continue;
      changed = true;
      this.#running.delete(name);
      running.close();
    }
    for (const provider of wanted.values()) {
      if (this.#running.has(provider.name)) continue;
      changed = true;
      const known = before.get(provider.name);
      looks.push(this.#add(provider, known?.provider.baseUrl === provider.baseUrl ? known.listed : []));
    }
    if (changed) this.#options.onChange();
    await Promise.all(looks);
  }

  candidates(): RemoteCandidate[] {
    return [...this.#running].map(([name, running]) => running.candidate(this.#configuredFor(name)));
  }

  /** Models that they offer and no file names. `taken`: the names and aliases of this machine. */
  models(taken: ReadonlySet<string>): ModelSpec[] {
    return joinedModels([...this.#running.values()].flatMap(({ models }) => models)).filter(
      ({ name }) => !taken.has(name),
    );
  }

  /** The way to a provider, or null. */
  upstream(name: string): Upstream | null {
    return this.#running.get(name) ?? null;
  }

  /** All of the configuration, in its order, disabled ones too. */
  status(): ProviderStatus[] {
    return this.#config.providers.map((entry) => {
      const configured = this.#configuredFor(entry.name);
      return this.#running.get(entry.name)?.status(configured) ?? idleStatus(entry, configured);
    });
  }

  close(): void {
    this.#closed = true;
    for (const running of this.#running.values()) running.close();
    this.#running.clear();
  }

  #configuredFor(provider: string): ModelSpec[] {
    return this.#config.models.filter(
      ({ source }) => source.type === "provider" && source.offers.some((offer) => offer.provider === provider),
    );
  }

  #add(provider: Provider, listed: readonly ListedModel[]): Promise<void> {
    const { onChange, log } = this.#options;
    const fields = { provider: provider.name, baseUrl: provider.baseUrl };
    const running: RemoteProvider = new RemoteProvider({
      ...this.#options,
      provider,
      listed,
      connector: connectors[provider.type],
      onChange: () => {
        if (!this.#closed && this.#running.get(provider.name) === running) onChange();
      },
      log: (event, error) => {
        if (event === "up") log.info(fields, "provider is up");
        else log.warn({ ...fields, error }, "provider is down");
      },
    });
    this.#running.set(provider.name, running);
    return running.open();
  }
}
