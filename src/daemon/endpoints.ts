import type { Engine } from "../core/engine.ts";
import type { FleetEvent } from "../core/fleet.ts";
import type { InstanceSnapshot } from "../core/instance.ts";
import type { EngineId, ModelSpec } from "../core/model.ts";
import type { EngineSet } from "../engines/index.ts";

export interface Endpoint {
  readonly engine: EngineId | "remote";
  readonly socketPath: string;
  readonly noticesDepartedClients: boolean;
}

/** How each running instance is reached: what the scheduler puts into a lease. */
export class Endpoints {
  readonly #snapshots = new Map<string, InstanceSnapshot>();
  /** By model: whether the engine that was last chosen for it notices departed clients. */
  readonly #notices = new Map<string, boolean>();

  /** Chooses an engine and remembers what the gateway must know of it. */
  async engineFor(engines: EngineSet, model: ModelSpec): Promise<Engine> {
    const engine = await engines.choose(model);
    const availability = await engine.availability();
    this.#notices.set(model.name, availability.available && availability.noticesDepartedClients);
    return engine;
  }

  onFleetEvent({ snapshot }: FleetEvent): void {
    if (snapshot.state === "absent") this.#snapshots.delete(snapshot.id);
    else this.#snapshots.set(snapshot.id, snapshot);
  }

  /** Null once the instance has no socket. */
  describe(instanceId: string): Endpoint | null {
    const snapshot = this.#snapshots.get(instanceId);
    if (!snapshot?.socketPath) return null;
    return { engine: snapshot.engine, socketPath: snapshot.socketPath, noticesDepartedClients: this.#notices.get(snapshot.model) ?? false };
  }
}
