import type { CapabilityQuery } from "../core/capability-query.ts";
import { AssistantError } from "../core/errors.ts";
import type { Capabilities, ModelSpec } from "../core/model.ts";
import {
  type RemoteCandidate,
  type RemoteDelta,
  type RemoteModel,
  type RemoteSource,
  servedElsewhere,
} from "../core/remote.ts";
import { Signal } from "../core/signal.ts";
import type { Upstream } from "../core/upstream.ts";
import { CapabilityIndex } from "../inference/capability-index.ts";
import { KserveGrpcUpstream } from "../upstreams/kserve/grpc-upstream.ts";
import { KserveHttpUpstream } from "../upstreams/kserve/http-upstream.ts";
import { handlerName, isGrpc, modelNameOf, type Registration } from "./registration.ts";

export interface ReplicasOptions {
  /** Whether a model of this name is no handler. */
  isTaken(name: string): boolean;
  /** Called once for all that changes within a turn of the event loop. */
  onChange(delta: RemoteDelta): void;
  log(event: "registered" | "unregistered", registration: Registration): void;
}

/** Most that one daemon takes. */
const MAX_REPLICAS = 20_000;
const MAX_CAPABILITIES = 256;
const PREFIX = "replica/";

/** One registration, for the connection that keeps it alive. */
export interface Held {
  /** Its end: it was replaced or unregistered, or the daemon stops. */
  readonly ended: Signal<void>;
  /** Ends this registration, and no later one of the same id. */
  leave(): void;
}

/** What several replicas serve under one name; it offers what the first of them does. */
interface Handler {
  readonly capabilities: Capabilities;
  readonly replicas: Set<Replica>;
  slots: number;
}

interface Replica extends Held {
  readonly registration: Registration;
  readonly upstream: Upstream & { close(): void };
  readonly models: ReadonlyMap<string, RemoteModel>;
  /** How often its address was given to a client. */
  routed: number;
}

/**
 * The registered replicas with their capabilities, and their upstreams. A registration lives as long as its connection.
 */
export class Replicas implements RemoteSource {
  readonly #options: ReplicasOptions;
  readonly #replicas = new Map<string, Replica>();
  readonly #handlers = new Map<string, Handler>();
  #taken: ReadonlySet<string> = new Set();
  /** What has changed since it was last reported: ids of replicas, and names of handlers. */
  readonly #changed = { replicas: new Set<string>(), handlers: new Set<string>() };
  /** Those that clients may be sent to; created on first use after a change. */
  #routes: CapabilityIndex<Replica> | null = null;

  constructor(options: ReplicasOptions) {
    this.#options = options;
  }

  /**
   * Takes a replica up; one of the same id loses its place. Throws `invalid_request`, `model_exists` or `no_capacity`.
   */
  register(registration: Registration): Held {
    const { replicaId, endpoint, capabilities } = registration;
    if (capabilities.length === 0 || capabilities.length > MAX_CAPABILITIES)
      throw new AssistantError("invalid_request", `"capabilities" must contain 1 to ${MAX_CAPABILITIES} of them.`, {
        param: "capabilities",
      });
    if (this.#replicas.size >= MAX_REPLICAS && !this.#replicas.has(replicaId))
      throw new AssistantError("no_capacity", `${MAX_REPLICAS} replicas are registered already.`);
    const names = new Map(capabilities.map((capability) => [modelNameOf(capability), capability]));
    for (const name of names.keys())
      if (this.#options.isTaken(name))
        throw new AssistantError("model_exists", `A model of another kind is called "${name}".`, {
          param: "capabilities",
          remedy: "Give the capability another `type` or `model`.",
        });
    this.#end(this.#replicas.get(replicaId));
    const replica: Replica = {
      registration,
      upstream: upstreamOf(endpoint, names),
      models: modelsOf(registration),
      ended: new Signal<void>(),
      routed: 0,
      leave: () => {
        // Its stream may end after another registration has taken its place.
        if (this.#replicas.get(replicaId) === replica) this.#end(replica);
      },
    };
    this.#replicas.set(replicaId, replica);
    for (const [name, { capabilities: offered = {} }] of replica.models) {
      const handler = this.#handlers.get(name) ?? { capabilities: offered, replicas: new Set(), slots: 0 };
      this.#handlers.set(name, handler);
      handler.replicas.add(replica);
      handler.slots += registration.slots;
    }
    this.#options.log("registered", registration);
    this.#report(replica);
    return replica;
  }

  /** Throws `worker_not_found`. */
  unregister(replicaId: string): void {
    const replica = this.#replicas.get(replicaId);
    if (replica === undefined)
      throw new AssistantError(
        "worker_not_found",
        `No replica is registered as ${JSON.stringify(replicaId.slice(0, 100))}.`,
        {
          param: "replica_id",
          remedy: "`GET /registry` lists them.",
        },
      );
    this.#end(replica);
  }

  list(): readonly Registration[] {
    return [...this.#replicas.values()].map(({ registration }) => registration);
  }

  /** A replica with an address of gRPC that offers all of it, the one that was given out least. Null: there is none. */
  route(query: CapabilityQuery, exclude: readonly string[]): Registration | null {
    this.#routes ??= new CapabilityIndex(
      [...this.#replicas.values()]
        .filter(({ registration }) => isGrpc(registration.endpoint))
        .flatMap((model) => model.registration.capabilities.map((capabilities) => ({ model, capabilities }))),
    );
    let found: Replica | null = null;
    for (const replica of this.#routes.find(query, ({ registration }) => !exclude.includes(registration.replicaId)))
      if (found === null || replica.routed < found.routed) found = replica;
    if (found === null) return null;
    found.routed += 1;
    return found.registration;
  }

  candidates(): RemoteCandidate[] {
    return [...this.#replicas.values()].map((replica) => this.#candidate(replica));
  }

  models(taken: ReadonlySet<string>): ModelSpec[] {
    this.#taken = taken;
    return [...this.#handlers.keys()].flatMap((name) => this.#spec(name) ?? []);
  }

  upstream(name: string): Upstream | null {
    return name.startsWith(PREFIX) ? (this.#replicas.get(name.slice(PREFIX.length))?.upstream ?? null) : null;
  }

  close(): void {
    for (const replica of [...this.#replicas.values()]) this.#end(replica);
  }

  #candidate({ registration: { replicaId, slots }, models }: Replica): RemoteCandidate {
    return {
      name: PREFIX + replicaId,
      nodeId: replicaId,
      weight: 1,
      up: true,
      maxInFlight: slots,
      models: this.#taken.size === 0 ? models : new Map([...models].filter(([name]) => !this.#taken.has(name))),
    };
  }

  /** Null: there is none, or a model of another kind has its name. */
  #spec(name: string): ModelSpec | null {
    const handler = this.#handlers.get(name);
    if (handler === undefined || this.#taken.has(name)) return null;
    const { capabilities, slots } = handler;
    return handlerSpec(name, capabilities, [], slots);
  }

  #end(replica: Replica | undefined): void {
    if (replica === undefined) return;
    const { replicaId, slots } = replica.registration;
    this.#replicas.delete(replicaId);
    for (const name of replica.models.keys()) {
      const handler = this.#handlers.get(name);
      if (handler === undefined) continue;
      handler.replicas.delete(replica);
      handler.slots -= slots;
      if (handler.replicas.size === 0) this.#handlers.delete(name);
    }
    replica.upstream.close();
    this.#options.log("unregistered", replica.registration);
    this.#report(replica);
    replica.ended.emit();
  }

  /** A replacement is a change, not an end: requests waiting for its handlers keep waiting. */
  #report({ registration: { replicaId }, models }: Replica): void {
    this.#routes = null;
    const { replicas, handlers } = this.#changed;
    if (replicas.size === 0) setImmediate(() => this.#options.onChange(this.#delta()));
    replicas.add(replicaId);
    for (const name of models.keys()) handlers.add(name);
  }

  #delta(): RemoteDelta {
    const [ids, names] = [[...this.#changed.replicas], [...this.#changed.handlers]];
    this.#changed.replicas.clear();
    this.#changed.handlers.clear();
    return {
      candidates: ids.flatMap((id) => this.#replicas.get(id) ?? []).map((replica) => this.#candidate(replica)),
      gone: ids.filter((id) => !this.#replicas.has(id)).map((id) => PREFIX + id),
      models: names.flatMap((name) => this.#spec(name) ?? []),
      lostModels: names.filter((name) => !this.#handlers.has(name)),
    };
  }
}

/** The model of a handler. */
export const handlerSpec = (
  name: string,
  capabilities: Capabilities,
  nodes: readonly string[],
  slots: number,
): ModelSpec => ({
  ...servedElsewhere({
    name,
    aliases: [],
    kind: "handler",
    capabilities: { tensors: true, ...capabilities },
    source: { type: "worker" },
    contextTokens: 0,
    slots,
    nodes,
    fingerprint: `handler ${name}`,
  }),
});

function modelsOf({ capabilities, slots }: Registration): Map<string, RemoteModel> {
  const models = new Map<string, RemoteModel>();
  for (const capability of capabilities)
    models.set(modelNameOf(capability), {
      slots,
      inFlight: 0,
      loaded: true,
      capabilities: { tensors: true, ...capability },
    });
  return models;
}

function upstreamOf(endpoint: string, names: ReadonlyMap<string, Capabilities>): Replica["upstream"] {
  const nameOf = (model: string) => handlerName(names.get(model) ?? { type: model });
  return isGrpc(endpoint) ? new KserveGrpcUpstream(endpoint, nameOf) : new KserveHttpUpstream(endpoint, nameOf);
}
