import type { ModelKind } from "./model.ts";

/** APIs that providers speak. Each has its connector in src/upstreams/connectors.ts. */
export const providerTypes = ["openai-compatible", "anthropic", "google"] as const;
export type ProviderType = (typeof providerTypes)[number];

export const limitFields = ["max_tokens", "max_completion_tokens"] as const;
export type LimitField = (typeof limitFields)[number];

/** One `[[providers]]` entry: a service that runs models elsewhere. */
export interface Provider {
  /** Unique among providers and remote servers. */
  readonly name: string;
  readonly type: ProviderType;
  /** With the version, without a slash at the end: `https://api.openai.com/v1`. */
  readonly baseUrl: string;
  /** Sent with every request, or null. Never shown or logged. */
  readonly apiKey: string | null;
  /** The source of the key, for messages: "the environment variable OPENAI_API_KEY"; null: it has none. */
  readonly keySource: string | null;
  /** Further headers of every request, which win over those of the type. Never shown or logged. */
  readonly headers: Readonly<Record<string, string>>;
  /** URL of the proxy, or null. */
  readonly proxy: string | null;
  readonly connectTimeoutMs: number;
  /** Longest silence, before the answer and within it. */
  readonly silenceTimeoutMs: number;
  /** Share of the work among providers of the same model; 0: only where no other can. */
  readonly weight: number;
  /** Most requests at once, over all models. */
  readonly maxConcurrency: number;
  /** Whether its own list of models is read. */
  readonly discovery: boolean;
  /** Models offered as `NAME/MODEL`, where `*` matches any characters; null: all listed ones. */
  readonly models: readonly string[] | null;
  /** Whether it has llama.cpp's own fields (`grammar`, `json_schema`, `n_predict`), as llama.cpp's server does. */
  readonly takesLlamaFields: boolean;
  /** What it calls the limit of a chat's answer; null: either name. */
  readonly limitField: LimitField | null;
  /** Another daemon like this one, which receives the hop list of a request. */
  readonly isAssistant: boolean;
  readonly enabled: boolean;
  /**
   * Set for a server that was registered at run time: its kinds. It is only used for these, and its models are offered
   * under its own names.
   */
  readonly kinds?: readonly ModelKind[];
}
