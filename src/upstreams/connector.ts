import type { ModelKind, ModelSpec } from "../core/model.ts";
import type { Provider } from "../core/provider.ts";
import type { Upstream } from "../core/upstream.ts";
import type { ProviderClient } from "./http/client.ts";

/** A model as a provider's own list describes it. */
export interface ListedModel {
  /** The provider's name for it. */
  readonly id: string;
  /** Null: it is none that this version can ask (video, live audio). */
  readonly kind: ModelKind | null;
  /** Tokens of prompt and answer together; null where the list does not say. */
  readonly contextTokens: number | null;
}

/** The way to one provider. One is made for each entry, and again when the entry changes. */
export interface ProviderConnection {
  /**
   * Sends calls. Health follows from how `send` rejects, so that failures are `SendFailure`s with the codes of
   * `http/failure.ts`: `provider_rejected_key`, `provider_unavailable`, `provider_timeout`, `provider_error` and
   * `provider_busy` (with `retryAfterS` where the provider states it); what the client did wrong keeps a 4xx code.
   * `retryOf` there says whether another target may be tried.
   */
  readonly upstream: Upstream;
  /** The models that the provider lists; null where it has no list. Rejects with one of the codes above. */
  listModels(): Promise<readonly ListedModel[] | null>;
}

/** What a connector gets. */
export interface ConnectorContext {
  readonly provider: Provider;
  /** Connections, proxy, time-outs and the entry's own headers. Closed by whoever made it. */
  readonly client: ProviderClient;
  /** This daemon's id in hop lists. */
  readonly nodeId: string;
  /** What the provider calls a model of ours. */
  modelName(model: ModelSpec): string;
}

/** Makes the way to a provider of one type. Opens nothing before the first request. */
export type Connector = (context: ConnectorContext) => ProviderConnection;
