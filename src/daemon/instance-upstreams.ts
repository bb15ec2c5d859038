import type { FleetEvent } from "../core/fleet.ts";
import type { InstanceTraits } from "../core/instance.ts";
import type { Upstream } from "../core/upstream.ts";
import { EngineSocket } from "../upstreams/unix/engine-socket.ts";
import { OpenAiServer } from "../upstreams/unix/openai-server.ts";

/** The way to each running instance, with the traits of the program that it was started with. */
export class InstanceUpstreams {
  readonly #upstreams = new Map<string, { readonly traits: InstanceTraits; readonly upstream: Upstream }>();

  onFleetEvent({ snapshot: { id, state, endpoint, traits } }: FleetEvent): void {
    if (state === "absent" || endpoint === null) this.#upstreams.delete(id);
    else if (this.#upstreams.get(id)?.traits !== traits)
      this.#upstreams.set(id, { traits, upstream: upstreamTo(endpoint, traits) });
  }

  /** Null while the instance has no process. */
  find(instanceId: string): Upstream | null {
    return this.#upstreams.get(instanceId)?.upstream ?? null;
  }
}

const upstreamTo = (endpoint: string, traits: InstanceTraits): Upstream =>
  traits.onlyOpenAi === true ? new OpenAiServer(endpoint) : new EngineSocket(endpoint, traits);
