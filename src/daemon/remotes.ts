import type { InfoResponse } from "../api/assistant-service.ts";
import type { NodeStatus } from "../api/nodes.ts";
import { Cluster, type ClusterLog } from "../cluster/cluster.ts";
import { systemClock } from "../core/clock.ts";
import type { Config } from "../core/config.ts";
import type { InstanceSnapshot } from "../core/instance.ts";
import { version } from "../core/package.ts";
import { remoteInstanceId } from "../core/remote.ts";
import { Signal } from "../core/signal.ts";
import type { Upstream } from "../core/upstream.ts";
import type { RemoteChange } from "../scheduler/events.ts";
import type { SchedulerSnapshot } from "../scheduler/snapshot.ts";
import type { Directory } from "./directory.ts";

export interface RemotesOptions {
  readonly log: ClusterLog;
  readonly directory: Directory;
}

/** Connects what is known of other machines with those who act on it: the scheduler and the directory of models. */
export class Remotes {
  /** Another machine was measured, came or went. */
  readonly changed = new Signal<RemoteChange>();
  readonly #cluster: Cluster;
  readonly #options: RemotesOptions;
  #config: Config | null = null;

  constructor(options: RemotesOptions) {
    this.#options = options;
    this.#cluster = new Cluster({
      clock: systemClock,
      random: Math.random,
      log: options.log,
      onChange: () => this.#tell(),
    });
  }

  /** This daemon's id in hop lists. */
  get nodeId(): string {
    return this.#cluster.nodeId;
  }

  /** Call after the scheduler and the directory have taken the configuration over. */
  configure(config: Config): void {
    const first = this.#config === null;
    this.#config = config;
    this.#cluster.configure(config.remotes);
    // A model that this machine has got, or lost, may be another's too.
    if (!first) this.#tell();
  }

  /** The way to another machine; null while it is not up. */
  find(targetId: string): Upstream | null {
    const server = this.#config?.remotes.find(({ name }) => remoteInstanceId(name) === targetId);
    return server === undefined ? null : this.#cluster.upstream(server.name);
  }

  status(): NodeStatus[] {
    return this.#cluster.status();
  }

  /** What GetInfo answers: the models of this machine's own files, and how busy their instances are. */
  info(
    config: Config,
    endpoints: readonly string[],
    scheduler: SchedulerSnapshot,
    instances: readonly InstanceSnapshot[],
  ): InfoResponse {
    const slots = new Map<string, number>();
    for (const { model, state, slots: more } of instances)
      if (state === "ready") slots.set(model, (slots.get(model) ?? 0) + more);
    return {
      version,
      nodeId: this.nodeId,
      endpoints,
      models: config.models.map(({ name }) => name),
      modelDetails: config.models.map(({ name, aliases, kind, load }) => ({
        name,
        aliases,
        kind,
        contextTokens: load.contextTokens,
        slots: slots.get(name) ?? load.slots,
        inFlight: scheduler.models.get(name)?.inFlight ?? 0,
        queued: scheduler.models.get(name)?.queued ?? 0,
        loaded: slots.has(name),
      })),
    };
  }

  close(): void {
    this.#cluster.close();
  }

  #tell(): void {
    if (this.#config === null) return;
    const { directory } = this.#options;
    const models = this.#cluster.models(
      new Set(this.#config.models.flatMap((model) => [model.name, ...model.aliases])),
    );
    directory.replaceRemote(models, Date.now());
    this.changed.emit({ nodeId: this.nodeId, candidates: this.#cluster.candidates(), models });
  }
}
