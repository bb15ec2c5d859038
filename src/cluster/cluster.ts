import { randomBytes } from "node:crypto";
import type { NodeStatus } from "../api/nodes.ts";
import { addressText } from "../config/network.ts";
import type { Clock } from "../core/clock.ts";
import type { RemoteServer } from "../core/config.ts";
import type { ModelSpec } from "../core/model.ts";
import type { RemoteCandidate } from "../core/remote.ts";
import type { Upstream } from "../core/upstream.ts";
import { remoteModels } from "./models.ts";
import { RemoteNode } from "./remote-node.ts";

export interface ClusterLog {
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
}

export interface ClusterOptions {
  readonly clock: Clock;
  readonly random: () => number;
  readonly log: ClusterLog;
  /** Something in `candidates` or `models` has changed. */
  onChange(): void;
}

/**
 * The other machines that the configuration or the cluster names, each with the way to it and what was measured of it.
 */
export class Cluster {
  /** This daemon's id in hop lists, new with every start. */
  readonly nodeId = `node_${randomBytes(8).toString("hex")}`;
  readonly #options: ClusterOptions;
  readonly #nodes = new Map<string, RemoteNode>();
  #servers: readonly RemoteServer[] = [];
  #closed = false;

  constructor(options: ClusterOptions) {
    this.#options = options;
  }

  /** Applies a configuration, at start and on reload: only machines with changed entries are reconnected. */
  configure(servers: readonly RemoteServer[]): void {
    this.#servers = servers;
    const wanted = new Map(servers.filter(({ enabled }) => enabled).map((server) => [server.name, server]));
    let changed = false;
    for (const [name, node] of this.#nodes) {
      const server = wanted.get(name);
      if (server !== undefined && isSame(server, node.server)) continue;
      changed = true;
      this.#nodes.delete(name);
      node.close();
    }
    for (const server of wanted.values()) {
      if (this.#nodes.has(server.name)) continue;
      changed = true;
      this.#add(server);
    }
    if (changed) this.#options.onChange();
  }

  candidates(): RemoteCandidate[] {
    return [...this.#nodes.values()].map((node) => node.candidate());
  }

  /** Models that only other machines have. `taken`: the names and aliases of this one. */
  models(taken: ReadonlySet<string>): ModelSpec[] {
    return remoteModels(
      [...this.#nodes].map(([name, { info }]) => ({ name, info })),
      taken,
    );
  }

  /** The way to a machine; null while it is not up. */
  upstream(name: string): Upstream | null {
    return this.#nodes.get(name)?.upstream ?? null;
  }

  /** All of the configuration, in its order, disabled ones too. */
  status(): NodeStatus[] {
    return this.#servers.map((server) => this.#nodes.get(server.name)?.status() ?? idleStatus(server));
  }

  close(): void {
    this.#closed = true;
    for (const node of this.#nodes.values()) node.close();
    this.#nodes.clear();
  }

  #add(server: RemoteServer): void {
    const { clock, random, log, onChange } = this.#options;
    const node = new RemoteNode({
      server,
      nodeId: this.nodeId,
      clock,
      random,
      onChange: () => {
        if (!this.#closed && this.#nodes.get(server.name) === node) onChange();
      },
      log: (event, error) => {
        const fields = { node: server.name, address: addressText(server.address) };
        if (event === "up") log.info(fields, "remote server is up");
        else log.warn({ ...fields, error }, "remote server is down");
      },
    });
    this.#nodes.set(server.name, node);
    node.open().catch((error: unknown) => log.warn({ node: server.name, err: error }, "remote server cannot be used"));
  }
}

const isSame = (a: RemoteServer, b: RemoteServer): boolean =>
  a.weight === b.weight &&
  a.apiKey === b.apiKey &&
  a.address.host === b.address.host &&
  a.address.port === b.address.port;

const idleStatus = ({ name, address, weight, isDrained = false }: RemoteServer): NodeStatus => ({
  name,
  address: addressText(address),
  state: isDrained ? "drained" : "disabled",
  version: null,
  models: [],
  weight,
  inFlight: 0,
  requestsServed: 0,
  latencyMs: null,
  firstByteMs: null,
  lastError: null,
  seenAt: null,
});
