import type { NodesReport } from "../api/nodes.ts";
import type { DaemonStatus, InstanceAction } from "../api/status.ts";
import type { UsageReport } from "../api/usage.ts";
import type { ApiKey } from "../core/config.ts";
import type { ErrorCode } from "../core/errors.ts";
import type { ModelKind, ModelSpec } from "../core/model.ts";
import type { Dispatcher, FinishedRequest, PrefixMark, RequestProgress } from "../core/request.ts";
import type { KeyLimits } from "./front/key-limits.ts";

/** The configured models, as of now: a reload shows at the next call. */
export interface ModelDirectory {
  find(nameOrAlias: string): ModelSpec | undefined;
  all(): readonly ModelSpec[];
  /** Epoch milliseconds at which the model was first configured, or its file's time. */
  createdAt(name: string): number;
}

/** What a reload did; a field that is left out did not change. */
export interface ReloadReport {
  readonly added?: readonly string[];
  readonly removed?: readonly string[];
  readonly changed?: readonly string[];
  readonly unchanged?: readonly string[];
  /** Settings that only a restart of the daemon brings into force. */
  readonly restartNeeded?: boolean;
  readonly notices?: readonly { readonly severity: string; readonly file: string; readonly line: number | null; readonly message: string }[];
}

/** Actions on a model as a whole. */
export type ModelVerb = "load" | "unload";

/** What the admin API may ask of the daemon. Rejections are AssistantErrors. */
export interface ControlPort {
  status(): Promise<DaemonStatus>;
  /** Resolves once accepted; `instance_not_found` otherwise. */
  act(instanceId: string, action: InstanceAction["action"]): Promise<void>;
  /** Resolves once accepted; `model_not_found` otherwise. */
  modelAct(name: string, action: ModelVerb): Promise<void>;
  /** Other machines, as this daemon sees them. */
  nodes(): NodesReport;
  /** What each key has used. */
  usage(): UsageReport;
  /** Everything that is measured, in Prometheus' text format. */
  metrics(): Promise<string>;
  reload(): Promise<ReloadReport>;
  /** Returns at once; the daemon drains, or with `now` ends its requests. */
  shutdown(options: { readonly now: boolean }): void;
}

/** Read anew on every request, so that a reload takes effect. */
export interface GatewaySettings {
  /** Empty: no key is asked for. */
  readonly apiKeys: readonly ApiKey[];
  /** Whether what is cached of one key's prompts may serve another's. Default: no. */
  readonly sharePrefixes?: boolean;
  /** Origins allowed besides local pages; `*` for all. */
  readonly corsOrigins: readonly string[];
  /** Host names accepted besides loopback names and IP addresses; `.example.com` takes every name below it. */
  readonly allowedHosts: readonly string[];
  readonly bodyLimitBytes: number;
}

/** A prompt as the scheduler sees it: about how long, and which prefixes it shares with others. */
export interface PromptFacts {
  /** Tokens, estimated. */
  readonly promptTokens: number;
  readonly prefix: readonly PrefixMark[];
}

/** Computes the prompt facts of a parsed request body. Requests of different cache scopes share no prefix. */
export type Fingerprint = (body: Readonly<Record<string, unknown>>, model: ModelSpec, scope: string) => PromptFacts;

/** The methods of a pino logger that the gateway uses. */
export interface Log {
  debug(fields: object, message: string): void;
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
}

/** Writes the line of a finished request. */
export type RequestLog = (level: "info" | "warn", fields: FinishedRequest) => void;

/** Everything that the doors (one per dialect) share. */
export interface DoorContext {
  readonly dispatcher: Dispatcher;
  readonly directory: ModelDirectory;
  readonly settings: () => GatewaySettings;
  readonly fingerprint: Fingerprint;
  readonly version: string;
  /** This daemon's id in the hop lists of forwarded requests. */
  readonly nodeId: string;
  /** Where a request stands that has not ended yet. */
  readonly progress: (requestId: string) => RequestProgress | null;
  readonly log: Log;
  readonly logRequest: RequestLog;
  /** Told of each request that the guards did not let in. */
  readonly refused: (code: ErrorCode) => void;
  readonly keyLimits: KeyLimits;
  /** The listener serves these models alone, whatever a request says; null: all. */
  readonly onlyModels: readonly string[] | null;
}

/** Paths that reach an engine, and the kind of model they need. */
export interface InferenceRoute {
  readonly name: "chat" | "completion" | "embedding";
  readonly kind: ModelKind;
  /** The engine's own path. */
  readonly path: "/v1/chat/completions" | "/v1/completions" | "/v1/embeddings";
}
