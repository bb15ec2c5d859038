import type { Operation } from "../../core/model.ts";
import type { ConnectorContext, ListedModel } from "../connector.ts";
import type { Asked } from "../http/failure.ts";
import type { CallOptions, PartStream, Warning } from "./sdk.ts";

/** What one call asks of which model of which provider, for messages. */
export interface AskedModel extends Asked {
  readonly model: string;
  readonly providerModel: string;
  readonly operation: Operation;
}

/** What a request asks for besides what every dialect has a word for. */
export interface Extras {
  /** Most tokens of thinking; null: not stated. */
  readonly thinkingTokens: number | null;
  /** Whether several tools may be called in one answer; null: not stated. */
  readonly parallelToolCalls: boolean | null;
  /** Whoever the client asks for, in its own words; null: not stated. */
  readonly user: string | null;
  /** The answer has to follow the schema, and not only to try. */
  readonly strictSchema: boolean;
}

/** The models of one provider, once its SDK is loaded. */
export interface Service {
  /**
   * The options with what this dialect says in its own way. Throws `invalid_request` for what the model cannot obey.
   */
  shape(model: string, options: CallOptions, extras: Extras): CallOptions;
  /** What the SDK would leave out of the request or change in it. Nothing is sent. */
  warnings(model: string, options: CallOptions): Promise<readonly Warning[]>;
  stream(model: string, options: CallOptions, fetch: Fetch): Promise<PartStream>;
  /** What the service's own route for counting the tokens of a request is asked, and where its answer has the count. */
  counting(model: string, options: CallOptions): Promise<Counting>;
  /** Missing: the provider has no embeddings. */
  embed?(model: string, request: EmbeddingRequest, fetch: Fetch): Promise<number[][]>;
}

interface Counting {
  /** Behind the base URL. */
  readonly path: string;
  readonly body: object;
  /** Of the answer. */
  readonly field: string;
}

interface EmbeddingRequest {
  readonly inputs: readonly string[];
  /** Length of the vectors; null: the model's own. */
  readonly dimensions: number | null;
  readonly signal: AbortSignal;
}

export type Fetch = typeof globalThis.fetch;

/** One foreign dialect: what it has words for, and how its SDK is loaded. */
export interface Dialect {
  readonly id: "anthropic" | "google";
  /** Media types of user messages that it takes. */
  readonly media: RegExp;
  /** Whether system messages may come after others. */
  readonly takesLateSystem: boolean;
  /** Types of events in its streams; null: they have none. Others are newer than the SDK. */
  readonly events: ReadonlySet<string> | null;
  /** Whether a file at an address needs its exact media type. */
  readonly needsMediaType: boolean;
  /** The path of its list of models, behind the base URL. */
  readonly listPath: string;
  /** Of every request, the key among them. */
  headers(apiKey: string | null): Record<string, string>;
  /** The models of its list; null where the answer is no such list. */
  listed(answer: unknown): ListedModel[] | null;
  /** The HTTP status that an error body should have come with; null: it is no error. */
  statusOf(body: unknown): number | null;
  /** Loads the SDK, which takes memory and time: not before there is a request. */
  load(context: ConnectorContext): Promise<Service>;
}
