import type { Engine } from "../core/engine.ts";
import type { FleetEvent } from "../core/fleet.ts";
import type { InstanceSnapshot } from "../core/instance.ts";
import type { EngineId, ModelSpec } from "../core/model.ts";
import type { EngineSet } from "../engines/index.ts";

export interface Endpoint {
  readonly engine: EngineId | "remote";
  readonly socketPath: string;
  readonly noticesDepartedClients: boolean;
  readonly separatesScopes: boolean;
}

/** How each running instance is reached: what the scheduler puts into a lease. */
export class Endpoints {
  readonly #snapshots = new Map<string, InstanceSnapshot>();
  /** By model: what the engine that was last chosen for it can do. */
  readonly #abilities = new Map<string, Pick<Endpoint, "noticesDepartedClients" | "separatesScopes">>();

  /** Chooses an engine and remembers what the gateway must know of it. */
  async engineFor(engines: EngineSet, model: ModelSpec): Promise<Engine> {
    const engine = await engines.choose(model);
    const availability = await engine.availability();
    this.#abilities.set(model.name, {
      noticesDepartedClients: availability.available && availability.noticesDepartedClients,
      separatesScopes: availability.available && (availability.separatesScopes ?? false),
    });
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
    const abilities = this.#abilities.get(snapshot.model) ?? { noticesDepartedClients: false, separatesScopes: false };
    return { engine: snapshot.engine, socketPath: snapshot.socketPath, ...abilities };
  }
}
