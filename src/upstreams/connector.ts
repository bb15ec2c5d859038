import type { ModelKind, ModelSpec } from "../core/model.ts";
import type { Provider } from "../core/provider.ts";
import type { Upstream } from "../core/upstream.ts";
import type { ProviderClient } from "./http/client.ts";

/** A model as described in a provider's own list. */
export interface ListedModel {
  /** The provider's name for it. */
  readonly id: string;
  /** Null: not supported by this version (video, live audio). */
  readonly kind: ModelKind | null;
  /** Tokens of prompt and answer together; null if the list does not report it. */
  readonly contextTokens: number | null;
}

/** The connection to one provider. Created for each entry, and again when the entry changes. */
export interface ProviderConnection {
  /**
   * Sends calls. Health is derived from how `send` rejects, so failures must be `SendFailure`s with the codes of
   * `http/failure.ts`: `provider_rejected_key`, `provider_unavailable`, `provider_timeout`, `provider_error` and
   * `provider_busy` (with `retryAfterS` if the provider states it); errors of the client keep a 4xx code. `retryOf`
   * there decides whether another target may be tried.
   */
  readonly upstream: Upstream;
  /** The models listed by the provider; null if it has no list. Rejects with one of the codes above. */
  listModels(): Promise<readonly ListedModel[] | null>;
}

/** Dependencies of a connector. */
export interface ConnectorContext {
  readonly provider: Provider;
  /** Connections, proxy, timeouts and the entry's own headers. Closed by its creator. */
  readonly client: ProviderClient;
  /** This daemon's id in hop lists. */
  readonly nodeId: string;
  /** The provider's name of a model. */
  modelName(model: ModelSpec): string;
}

/** Creates the connection to a provider of one type. Opens nothing before the first request. */
export type Connector = (context: ConnectorContext) => ProviderConnection;
