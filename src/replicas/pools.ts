import type { WorkerPool } from "../core/config.ts";
import type { ModelSpec } from "../core/model.ts";
import type { RemoteCandidate, RemoteSource } from "../core/remote.ts";
import type { Upstream } from "../core/upstream.ts";
import { Pool, type PoolPorts } from "./pool.ts";
import { handlerName, modelNameOf } from "./registration.ts";
import { handlerSpec } from "./replicas.ts";

const PREFIX = "workers/";

/** The `[[worker_pools]]` of the configuration, each a place for requests whether or not a process of it is up. */
export class Pools implements RemoteSource {
  readonly #ports: Omit<PoolPorts, "nameOf">;
  #pools = new Map<string, Pool>();
  #taken: ReadonlySet<string> = new Set();

  constructor(ports: Omit<PoolPorts, "nameOf">) {
    this.#ports = ports;
  }

  /** Applies a configuration: only changed entries are stopped and started again. */
  configure(settings: readonly WorkerPool[]): void {
    const before = this.#pools;
    this.#pools = new Map(
      settings.map((each) => {
        const known = before.get(each.name);
        const isSame = known !== undefined && JSON.stringify(known.settings) === JSON.stringify(each);
        return [each.name, isSame ? known : new Pool(each, { ...this.#ports, nameOf: nameIn(each) })];
      }),
    );
    for (const [name, pool] of before) if (this.#pools.get(name) !== pool) void pool.close();
    if (before.size + this.#pools.size > 0) this.#ports.onChange();
  }

  candidates(): RemoteCandidate[] {
    return [...this.#pools.values()].map((pool) => {
      const { name, slots, max, capabilities } = pool.settings;
      const facts = { slots: slots * max, inFlight: 0, loaded: pool.isUp };
      const models = capabilities
        .map(
          (capability) =>
            [modelNameOf(capability), { ...facts, capabilities: { tensors: true, ...capability } }] as const,
        )
        .filter(([model]) => !this.#taken.has(model));
      return {
        ...{ name: PREFIX + name, nodeId: "", weight: 1, up: true, maxInFlight: slots * max },
        models: new Map(models),
      };
    });
  }

  models(taken: ReadonlySet<string>): ModelSpec[] {
    this.#taken = taken;
    const specs = [...this.#pools.values()].flatMap(({ settings: { name, capabilities, slots, max } }) =>
      capabilities.map((capability) => handlerSpec(modelNameOf(capability), capability, [PREFIX + name], slots * max)),
    );
    return specs.filter(({ name }) => !taken.has(name));
  }

  upstream(name: string): Upstream | null {
    return name.startsWith(PREFIX) ? (this.#pools.get(name.slice(PREFIX.length)) ?? null) : null;
  }

  /** Resolves when no process is left. */
  async close(): Promise<void> {
    await Promise.all([...this.#pools.values()].map((pool) => pool.close()));
  }
}

const nameIn =
  ({ capabilities }: WorkerPool) =>
  (model: string) =>
    handlerName(capabilities.find((each) => modelNameOf(each) === model) ?? { type: model });
