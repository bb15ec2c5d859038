import type { ProviderStatus } from "../api/providers.ts";
import type { Clock, Timer } from "../core/clock.ts";
import { type AssistantError, toAssistantError } from "../core/errors.ts";
import type { AnswerSink } from "../core/inference.ts";
import type { ModelSpec } from "../core/model.ts";
import type { Provider } from "../core/provider.ts";
import type { RemoteCandidate } from "../core/remote.ts";
import { type AnswerFacts, type Peer, SendFailure, type Sending, type Upstream } from "../core/upstream.ts";
import type { Connector, ListedModel, ProviderConnection } from "../upstreams/connector.ts";
import type { ProviderClient } from "../upstreams/http/client.ts";
import { offeredModels } from "./catalog.ts";
import { Health } from "./health.ts";
import { peerOf } from "./peer.ts";

/** Lists change with releases, and checks are cheap. */
const LOOK_EVERY_MS = 5 * 60_000;
/** Weight of the newest of a series of measurements. */
const NEWEST = 0.2;

export interface RemoteProviderOptions {
  readonly provider: Provider;
  /** What was known of its models before its entry changed. */
  readonly listed: readonly ListedModel[];
  /** Loads the connector of the provider's type. */
  readonly connector: () => Promise<Connector>;
  /** This daemon's id in hop lists. */
  readonly nodeId: string;
  readonly clock: Clock;
  readonly random: () => number;
  /** State or models changed. */
  onChange(): void;
  log(event: "up" | "down", error: string | null): void;
}

/** One provider: asks for its models from time to time, is the way to it, and keeps requests from it while it fails. */
export class RemoteProvider implements Upstream {
  readonly #options: RemoteProviderOptions;
  readonly #health = new Health();
  #client: ProviderClient | null = null;
  #connection: Promise<ProviderConnection> | null = null;
  #listed: readonly ListedModel[];
  #models: readonly ModelSpec[];
  #inFlight = 0;
  #served = 0;
  #firstByteMs: number | null = null;
  #lastError: string | null = null;
  #seenAt: number | null = null;
  #retryAt: number | null = null;
  #timer: Timer | null = null;
  #looking = false;
  #closed = false;

  constructor(options: RemoteProviderOptions) {
    this.#options = options;
    this.#listed = options.listed;
    this.#models = offeredModels(options.provider, options.listed);
  }

  get peer(): Peer {
    return peerOf(this.provider);
  }

  get listed(): readonly ListedModel[] {
    return this.#listed;
  }

  get provider(): Provider {
    return this.#options.provider;
  }

  /** Models that it offers under its own name. */
  get models(): readonly ModelSpec[] {
    return this.#models;
  }

  /** Begins to look. Resolves after the first time, whatever came of it. */
  open(): Promise<void> {
    return this.#look();
  }

  /** Stops checking. Running requests continue until they end. */
  close(): void {
    this.#closed = true;
    this.#timer?.cancel();
    this.#client?.close();
  }

  /** `configured`: models whose files name it. */
  candidate(configured: readonly ModelSpec[]): RemoteCandidate {
    const { name, weight, maxConcurrency } = this.provider;
    const { reason } = this.#health;
    const facts = { slots: maxConcurrency, inFlight: 0, loaded: true };
    return {
      name,
      nodeId: "",
      weight,
      maxInFlight: maxConcurrency,
      up: reason === null,
      down:
        reason === null
          ? null
          : {
              code: reason.code,
              message: `${reason.message} No requests are sent to it until it answers again.`,
              remedy: reason.remedy,
            },
      models: new Map([...configured, ...this.#models].map((model) => [model.name, facts])),
    };
  }

  status(configured: readonly ModelSpec[]): ProviderStatus {
    return {
      ...idleStatus(this.provider, [...configured, ...this.#models]),
      state: this.#health.reason === null ? "up" : "down",
      inFlight: this.#inFlight,
      requestsServed: this.#served,
      firstByteMs: this.#firstByteMs,
      lastError: this.#lastError,
      seenAt: this.#seenAt,
      retryAt: this.#retryAt,
    };
  }

  async send(sending: Sending, sink: AnswerSink): Promise<AnswerFacts> {
    const begunAt = performance.now();
    const onFirstToken = (whole: boolean): void => {
      this.#firstByteMs = smoothed(this.#firstByteMs, performance.now() - begunAt);
      sending.onFirstToken(whole);
    };
    this.#inFlight += 1;
    try {
      const { upstream } = await this.#connect();
      const facts = await upstream.send({ ...sending, onFirstToken }, sink);
      this.#served += 1;
      this.#answered();
      return facts;
    } catch (error) {
      if (error instanceof SendFailure) this.#failed(error.reason);
      throw error;
    } finally {
      this.#inFlight -= 1;
    }
  }

  #connect(): Promise<ProviderConnection> {
    this.#connection ??= this.#makeConnection();
    return this.#connection.catch((error: unknown) => {
      this.#connection = null;
      throw new SendFailure(toAssistantError(error), "elsewhere");
    });
  }

  /** The HTTP library takes time and memory, which daemons without providers do without. */
  async #makeConnection(): Promise<ProviderConnection> {
    const { provider, connector, nodeId } = this.#options;
    const [connect, { ProviderClient }] = await Promise.all([connector(), import("../upstreams/http/client.ts")]);
    this.#client = new ProviderClient(provider);
    if (this.#closed) this.#client.close();
    const modelName = ({ name, source }: ModelSpec): string =>
      (source.type === "provider" ? source.offers.find((offer) => offer.provider === provider.name) : null)?.model ??
      name;
    return connect({ provider, client: this.#client, nodeId, modelName });
  }

  /** Reads its list of models, which shows whether it answers and takes our key. */
  async #look(): Promise<void> {
    if (this.#looking || this.#closed) return;
    this.#looking = true;
    this.#timer?.cancel();
    this.#retryAt = null;
    try {
      if (this.provider.discovery) this.#took(await (await this.#connect()).listModels());
      else if (this.#health.reason !== null) this.#mayBeTried();
    } catch (error) {
      this.#missed(error instanceof SendFailure ? error.reason : toAssistantError(error));
    }
    this.#looking = false;
    this.#lookAgain();
  }

  #lookAgain(): void {
    const { clock, random } = this.#options;
    const isDown = this.#health.reason !== null;
    if (this.#closed || (!isDown && !this.provider.discovery)) return;
    const pauseMs = isDown ? this.#health.pauseMs(random) : LOOK_EVERY_MS;
    this.#retryAt = isDown ? clock.now() + pauseMs : null;
    this.#timer?.cancel();
    this.#timer = clock.after(pauseMs, () => void this.#look());
  }

  #took(listed: readonly ListedModel[] | null): void {
    if (listed === null) {
      this.#mayBeTried();
      return;
    }
    this.#listed = listed;
    this.#models = offeredModels(this.provider, this.#listed);
    this.#answered();
    if (!this.#closed) this.#options.onChange();
  }

  /** It has no list to check: the next request shows whether it works. */
  #mayBeTried(): void {
    this.#health.halfOpen();
    if (!this.#closed) this.#options.onChange();
  }

  #missed(error: AssistantError): void {
    const wasUp = this.#health.reason === null;
    this.#lastError = error.message;
    this.#health.lookFailed(error);
    this.#noteDown(wasUp);
  }

  #answered(): void {
    const wasDown = this.#health.reason !== null;
    const wasSeen = this.#seenAt !== null;
    this.#seenAt = this.#options.clock.now();
    this.#health.succeeded();
    if (!wasSeen || wasDown) this.#options.log("up", null);
    if (wasDown && !this.#closed) this.#options.onChange();
  }

  #failed(error: AssistantError): void {
    if (error.status >= 500) this.#lastError = error.message;
    const opened = this.#health.failed(error);
    if (opened) this.#noteDown(true);
    if (this.#looking) return;
    // The next request should not repeat the failure.
    if (error.code === "provider_rejected_key" && this.provider.discovery) void this.#look();
    else if (opened) this.#lookAgain();
  }

  #noteDown(wasUp: boolean): void {
    if (this.#health.reason === null || this.#closed) return;
    if (wasUp) this.#options.log("down", this.#lastError);
    this.#options.onChange();
  }
}

const smoothed = (before: number | null, now: number): number =>
  before === null ? now : before + (now - before) * NEWEST;

/** Of a provider that is not in use. */
export const idleStatus = (
  { name, type, baseUrl, weight, maxConcurrency, keySource, apiKey }: Provider,
  models: readonly ModelSpec[],
): ProviderStatus => ({
  name,
  type,
  baseUrl,
  state: "disabled",
  key: keySource === null ? "none" : apiKey === null ? "missing" : "set",
  models: models.map((model) => ({
    name: model.name,
    kind: model.kind,
    contextTokens: model.load.contextTokens || null,
  })),
  weight,
  maxConcurrency,
  inFlight: 0,
  requestsServed: 0,
  firstByteMs: null,
  lastError: null,
  seenAt: null,
  retryAt: null,
});
