import type { InfoResponse } from "../api/assistant-service.ts";
import type { NodeStatus } from "../api/nodes.ts";
import type { ProviderStatus } from "../api/providers.ts";
import { Cluster, type ClusterLog } from "../cluster/cluster.ts";
import { addressText } from "../config/network.ts";
import { systemClock } from "../core/clock.ts";
import type { Config, RemoteServer } from "../core/config.ts";
import { AssistantError } from "../core/errors.ts";
import type { InstanceSnapshot } from "../core/instance.ts";
import type { ModelSource } from "../core/model.ts";
import { version } from "../core/package.ts";
import type { Provider } from "../core/provider.ts";
import { type RemoteDelta, type RemoteSource, remoteName } from "../core/remote.ts";
import { Signal } from "../core/signal.ts";
import type { Upstream } from "../core/upstream.ts";
import { Providers } from "../providers/providers.ts";
import type { RemoteChange } from "../scheduler/events.ts";
import type { SchedulerSnapshot } from "../scheduler/snapshot.ts";
import type { Directory } from "./directory.ts";

export interface RemotesOptions {
  readonly log: ClusterLog;
  readonly directory: Directory;
}

/** Providers' models should be available when the daemon is ready; a slow provider delays this at most this long. */
const FIRST_LOOK_MS = 1_000;

/** Sources of models that no engine serves and that are this machine's nevertheless. */
const OF_THIS_MACHINE: ReadonlySet<ModelSource["type"]> = new Set(["worker", "pipeline"]);

/** Connects other machines and providers with the parts that use them: the scheduler and the directory of models. */
export class Remotes {
  /** Another machine was measured, came or went. */
  readonly changed = new Signal<RemoteChange>();
  readonly #cluster: Cluster;
  readonly #providers: Providers;
  readonly #options: RemotesOptions;
  /** As it was loaded. */
  #config: Config | null = null;
  /** Providers that no file names. */
  #registered: readonly Provider[] = [];
  /** Machines reported by the cluster. */
  #joined: readonly RemoteServer[] = [];
  readonly #sources: RemoteSource[];
  /** Of each model the source that has it; null: several have. */
  readonly #owners = new Map<string, RemoteSource | null>();

  constructor(options: RemotesOptions) {
    this.#options = options;
    const common = { clock: systemClock, random: Math.random, log: options.log, onChange: () => this.#tell() };
    this.#cluster = new Cluster(common);
    this.#providers = new Providers({ ...common, nodeId: this.#cluster.nodeId });
    this.#sources = [this.#cluster, this.#providers];
  }

  /** This daemon's id in hop lists. */
  get nodeId(): string {
    return this.#cluster.nodeId;
  }

  /**
   * Call after the scheduler and the directory have applied the configuration. Resolves once new providers were
   * checked, or after a second.
   */
  async configure(config: Config): Promise<void> {
    const first = this.#config === null;
    this.#config = config;
    this.#configureCluster();
    const looked = this.#configureProviders();
    // A model that this machine has got, or lost, may be another's too.
    if (!first) this.#tell();
    if (config.providers.length === 0) return;
    const late = Promise.withResolvers<void>();
    const timer = systemClock.after(FIRST_LOOK_MS, late.resolve);
    await Promise.race([looked, late.promise]);
    timer.cancel();
  }

  /** Applies the cluster's reports of other machines. Configured machines keep their configuration. */
  join(servers: readonly RemoteServer[]): void {
    this.#joined = servers;
    this.#configureCluster();
  }

  /**
   * Adds a provider that no file configures, until the daemon exits. Resolves once it was checked; rejects with the
   * reason if it cannot be used, and then removes it.
   */
  async register(provider: Provider): Promise<void> {
    this.#registered = [...this.#registered, provider];
    await this.#configureProviders();
    const down = this.#providers.candidates().find(({ name }) => name === provider.name)?.down ?? null;
    if (down === null) return;
    this.unregister(provider.name);
    throw new AssistantError(down.code, down.message, down.remedy === null ? {} : { remedy: down.remedy });
  }

  /** False: none of this name is registered. */
  unregister(name: string): boolean {
    const left = this.#registered.filter((provider) => provider.name !== name);
    if (left.length === this.#registered.length) return false;
    this.#registered = left;
    void this.#configureProviders();
    return true;
  }

  get registered(): readonly Provider[] {
    return this.#registered;
  }

  /**
   * Adds a source. Returns a function to call when its candidates or models have changed, with the changed ones if that
   * is not all.
   */
  add(source: RemoteSource): (delta?: RemoteDelta) => void {
    this.#sources.push(source);
    return (delta) => {
      if (delta === undefined || this.#isShared(source, delta)) this.#tell();
      else this.#tellPart(source, delta);
    };
  }

  /** The way to another machine, a provider or the like; null while it is not up. */
  find(targetId: string): Upstream | null {
    const name = remoteName(targetId);
    if (name === null) return null;
    for (const source of this.#sources) {
      const upstream = source.upstream(name);
      if (upstream !== null) return upstream;
    }
    return null;
  }

  status(): NodeStatus[] {
    return this.#cluster.status();
  }

  providers(): ProviderStatus[] {
    return this.#providers.status();
  }

  /**
   * What GetInfo answers: the models of this machine's own files, workers and pipelines, and how busy their instances
   * are.
   */
  info(
    config: Config,
    endpoints: readonly string[],
    scheduler: SchedulerSnapshot,
    instances: readonly InstanceSnapshot[],
  ): InfoResponse {
    const slots = new Map<string, number>();
    for (const { model, state, slots: more } of instances)
      if (state === "ready") slots.set(model, (slots.get(model) ?? 0) + more);
    // Other machines and providers report their own capabilities.
    const served = this.#options.directory.remote().filter(({ source }) => OF_THIS_MACHINE.has(source.type));
    const models = [...config.models, ...served];
    return {
      version,
      nodeId: this.nodeId,
      endpoints,
      models: models.map(({ name }) => name),
      modelDetails: models.map(({ name, aliases, kind, load, source }) => ({
        name,
        aliases,
        kind,
        contextTokens: load.contextTokens,
        slots: slots.get(name) ?? load.slots,
        inFlight: scheduler.models.get(name)?.inFlight ?? 0,
        queued: scheduler.models.get(name)?.queued ?? 0,
        loaded: slots.has(name) || source.type === "provider" || OF_THIS_MACHINE.has(source.type),
        capabilities: JSON.stringify(this.#options.directory.find(name)?.capabilities ?? {}),
      })),
    };
  }

  close(): void {
    this.#cluster.close();
    this.#providers.close();
  }

  #configureCluster(): void {
    const { remotes = [] } = this.#config ?? {};
    const names = new Set(remotes.map(({ name }) => name));
    const addresses = new Set(remotes.map(({ address }) => addressText(address)));
    const joined = this.#joined.filter(({ name, address }) => !names.has(name) && !addresses.has(addressText(address)));
    this.#cluster.configure([...remotes, ...joined]);
  }

  #configureProviders(): Promise<void> {
    const { providers = [], models = [] } = this.#config ?? {};
    return this.#providers.configure({ providers: [...providers, ...this.#registered], models });
  }

  /** Whether another source also has one of these models: then its facts are combined again. */
  #isShared(source: RemoteSource, { models, lostModels }: RemoteDelta): boolean {
    const isOthers = (name: string): boolean => {
      const owner = this.#owners.get(name);
      return owner !== undefined && owner !== source;
    };
    return models.some(({ name }) => isOthers(name)) || lostModels.some(isOthers);
  }

  #tellPart(source: RemoteSource, delta: RemoteDelta): void {
    if (this.#config === null) return;
    this.#options.directory.changeRemote(delta, Date.now());
    const { candidates, gone, models, lostModels } = delta;
    for (const { name } of models) this.#owners.set(name, source);
    for (const name of lostModels) this.#owners.delete(name);
    this.changed.emit({ nodeId: this.nodeId, candidates, models, part: { gone, lostModels } });
  }

  #tell(): void {
    if (this.#config === null) return;
    const { directory } = this.#options;
    const taken = new Set(this.#config.models.flatMap((model) => [model.name, ...model.aliases]));
    this.#owners.clear();
    const models = this.#sources.flatMap((source) => {
      const offered = source.models(taken);
      for (const { name } of offered) this.#owners.set(name, this.#owners.has(name) ? null : source);
      return offered;
    });
    const candidates = this.#sources.flatMap((source) => source.candidates());
    directory.replaceRemote(models, Date.now(), candidates);
    this.changed.emit({ nodeId: this.nodeId, candidates, models });
  }
}
