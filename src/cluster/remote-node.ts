import type { InfoResponse, ModelInfo } from "../api/assistant-service.ts";
import type { NodeStatus } from "../api/nodes.ts";
import { addressText } from "../config/network.ts";
import type { Clock, Timer } from "../core/clock.ts";
import type { RemoteServer } from "../core/config.ts";
import type { RemoteCandidate, RemoteModel } from "../core/remote.ts";
import type { Upstream } from "../core/upstream.ts";
import { type NodeChannel, openChannel } from "../upstreams/node/channel.ts";
import { failureOf, isAway, isTimeout } from "../upstreams/node/failure.ts";
import { NodeUpstream } from "../upstreams/node/node-upstream.ts";
import { capabilitiesTold } from "./models.ts";

/** Interval of checking a machine that is up, and timeout of the response. */
const LOOK_EVERY_MS = 2_000;
const LOOK_TIMEOUT_MS = 3_000;
/** Interval of checking one that is down: doubling, with jitter. */
const FIRST_BACKOFF_MS = 500;
const MAX_BACKOFF_MS = 10_000;
/** One answer that is late may be a busy machine; so many are one that is away. */
const MAX_TIMEOUTS = 2;
/** Assumptions about a machine that only reports names. */
const DEFAULT_SLOTS = 4;
/** Weight of the newest of a series of measurements. */
const NEWEST = 0.2;

export interface NodeOptions {
  readonly server: RemoteServer;
  /** This daemon's id in hop lists. */
  readonly nodeId: string;
  readonly clock: Clock;
  readonly random: () => number;
  /** State, models or load changed. */
  onChange(): void;
  log(event: "up" | "down", error: string | null): void;
}

/** One other machine: checks it regularly, and sends it calls. */
export class RemoteNode {
  readonly #options: NodeOptions;
  #channel: NodeChannel | null = null;
  #upstream: NodeUpstream | null = null;
  #info: InfoResponse | null = null;
  #state: "connecting" | "up" | "down" = "connecting";
  #failures = 0;
  #timeouts = 0;
  #latencyMs: number | null = null;
  #firstByteMs: number | null = null;
  #served = 0;
  #lastError: string | null = null;
  #seenAt: number | null = null;
  #timer: Timer | null = null;
  #looking = false;
  #closed = false;

  constructor(options: NodeOptions) {
    this.#options = options;
  }

  get server(): RemoteServer {
    return this.#options.server;
  }

  /** Its last report, also while it is down. */
  get info(): InfoResponse | null {
    return this.#info;
  }

  /** The way to it; null while it is not up. */
  get upstream(): Upstream | null {
    return this.#state === "up" ? this.#upstream : null;
  }

  /** Opens the way and begins to look. A machine that is away is not an error. */
  async open(): Promise<void> {
    const { server, nodeId } = this.#options;
    const channel = await openChannel(server);
    // Taken out of the configuration while the library was loading.
    if (this.#closed) return channel.close();
    this.#channel = channel;
    this.#upstream = new NodeUpstream({
      node: server.name,
      address: server.address,
      nodeId,
      channel,
      onFirstByte: (ms) => {
        this.#firstByteMs = smoothed(this.#firstByteMs, ms);
      },
      onEnd: (failure) => this.#ended(failure),
    });
    await this.#look();
  }

  /** Stops checking. Running requests continue until they end, as the channel allows. */
  close(): void {
    this.#closed = true;
    this.#timer?.cancel();
    this.#channel?.close();
  }

  candidate(): RemoteCandidate {
    const { name, weight } = this.#options.server;
    return { name, weight, nodeId: this.#info?.nodeId ?? "", up: this.#state === "up", models: modelsOf(this.#info) };
  }

  status(): NodeStatus {
    const { name, address, weight } = this.#options.server;
    return {
      name,
      address: addressText(address),
      state: this.#state,
      version: this.#info?.version ?? null,
      models: [...(this.#info?.models ?? [])],
      weight,
      inFlight: this.#upstream?.inFlight ?? 0,
      requestsServed: this.#served,
      latencyMs: this.#latencyMs,
      firstByteMs: this.#firstByteMs,
      lastError: this.#lastError,
      seenAt: this.#seenAt,
    };
  }

  async #look(): Promise<void> {
    if (this.#looking || this.#closed || this.#channel === null) return;
    this.#looking = true;
    this.#timer?.cancel();
    const begun = performance.now();
    try {
      const info = await this.#channel.info(LOOK_TIMEOUT_MS);
      this.#latencyMs = smoothed(this.#latencyMs, performance.now() - begun);
      this.#answered(info);
    } catch (error) {
      this.#missed(error);
    }
    this.#looking = false;
    if (!this.#closed) this.#timer = this.#options.clock.after(this.#pauseMs(), () => void this.#look());
  }

  #answered(info: InfoResponse): void {
    this.#seenAt = this.#options.clock.now();
    this.#failures = 0;
    this.#timeouts = 0;
    this.#info = info;
    if (this.#state !== "up") this.#options.log("up", null);
    this.#state = "up";
    if (!this.#closed) this.#options.onChange();
  }

  #missed(error: unknown): void {
    if (this.#closed) return;
    this.#lastError = failureOf(this.#options.server.name, error).message;
    if (isTimeout(error) && ++this.#timeouts < MAX_TIMEOUTS && this.#state === "up") return;
    this.#down();
  }

  #down(): void {
    this.#failures += 1;
    if (this.#state !== "down") this.#options.log("down", this.#lastError);
    this.#state = "down";
    this.#options.onChange();
  }

  #ended(failure: unknown): void {
    if (failure === null) {
      this.#served += 1;
      return;
    }
    this.#lastError = failureOf(this.#options.server.name, failure).message;
    // The next request should not repeat the failure; the machine is checked again soon.
    if (!isAway(failure) || this.#state !== "up" || this.#closed) return;
    this.#down();
    void this.#look();
  }

  #pauseMs(): number {
    if (this.#state === "up") return LOOK_EVERY_MS;
    const backoff = Math.min(MAX_BACKOFF_MS, FIRST_BACKOFF_MS * 2 ** Math.max(0, this.#failures - 1));
    return backoff * (0.75 + this.#options.random() / 2);
  }
}

/** By name and alias. Models of a machine that only reports names count as loaded. */
function modelsOf(info: InfoResponse | null): Map<string, RemoteModel> {
  const models = new Map<string, RemoteModel>();
  for (const name of info?.models ?? []) models.set(name, { slots: DEFAULT_SLOTS, inFlight: 0, loaded: true });
  for (const detail of info?.modelDetails ?? [])
    for (const alias of detail.aliases) if (!models.has(alias)) models.set(alias, modelOf(detail));
  for (const detail of info?.modelDetails ?? []) models.set(detail.name, modelOf(detail));
  return models;
}

function modelOf({ slots, inFlight, queued, loaded, capabilities }: ModelInfo): RemoteModel {
  const told = capabilitiesTold({ capabilities });
  return { slots, inFlight: inFlight + queued, loaded, ...(told === undefined ? {} : { capabilities: told }) };
}

const smoothed = (before: number | null, now: number): number =>
  before === null ? now : before + (now - before) * NEWEST;
