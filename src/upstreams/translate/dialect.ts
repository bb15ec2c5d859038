import type { Operation } from "../../core/model.ts";
import type { ConnectorContext, ListedModel } from "../connector.ts";
import type { Asked } from "../http/failure.ts";
import type { CallOptions, PartStream, Warning } from "./sdk.ts";

/** The model and provider of one call, for messages. */
export interface AskedModel extends Asked {
  readonly model: string;
  readonly providerModel: string;
  readonly operation: Operation;
}

/** Parts of a request for which dialects have different equivalents. */
export interface Extras {
  /** Maximum tokens of thinking; null: not stated. */
  readonly thinkingTokens: number | null;
  /** Whether several tools may be called in one answer; null: not stated. */
  readonly parallelToolCalls: boolean | null;
  /** The client's end user, in its own words; null: not stated. */
  readonly user: string | null;
  /** The answer must follow the schema strictly. */
  readonly strictSchema: boolean;
}

/** The models of one provider, once its SDK is loaded. */
export interface Service {
  /** The options with this dialect's own settings. Throws `invalid_request` for what the model does not support. */
  shape(model: string, options: CallOptions, extras: Extras): CallOptions;
  /** What the SDK would omit from the request or change in it. Nothing is sent. */
  warnings(model: string, options: CallOptions): Promise<readonly Warning[]>;
  stream(model: string, options: CallOptions, fetch: Fetch): Promise<PartStream>;
  /** The request for the service's token counting route, and where its answer has the count. */
  counting(model: string, options: CallOptions): Promise<Counting>;
  /** Missing: the provider has no embeddings. */
  embed?(model: string, request: EmbeddingRequest, fetch: Fetch): Promise<number[][]>;
}

interface Counting {
  /** Appended to the base URL. */
  readonly path: string;
  readonly body: object;
  /** Maximum length of the answer. */
  readonly field: string;
}

interface EmbeddingRequest {
  readonly inputs: readonly string[];
  /** Length of the vectors; null: the model's own. */
  readonly dimensions: number | null;
  readonly signal: AbortSignal;
}

export type Fetch = typeof globalThis.fetch;

/** One foreign dialect: which fields it supports, and how its SDK is loaded. */
export interface Dialect {
  readonly id: "anthropic" | "google";
  /** Supported media types of user messages. */
  readonly media: RegExp;
  /** Whether system messages may follow others. */
  readonly takesLateSystem: boolean;
  /** Types of events in its streams; null: they have none. Others are newer than the SDK. */
  readonly events: ReadonlySet<string> | null;
  /** Whether a file at a URL needs its exact media type. */
  readonly needsMediaType: boolean;
  /** The path of its list of models, after the base URL. */
  readonly listPath: string;
  /** Of every request, including the key. */
  headers(apiKey: string | null): Record<string, string>;
  /** The models of its list; null if the answer is not such a list. */
  listed(answer: unknown): ListedModel[] | null;
  /** The HTTP status that an error body should have had; null: it is not an error. */
  statusOf(body: unknown): number | null;
  /** Loads the SDK, which takes memory and time, so not before the first request. */
  load(context: ConnectorContext): Promise<Service>;
}
