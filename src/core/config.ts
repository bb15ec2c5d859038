import type { VramReserve } from "./device.ts";
import type { Capabilities, ModelSpec } from "./model.ts";
import type { PipelineSpec } from "./pipeline.ts";
import type { Provider } from "./provider.ts";
import type { Holding } from "./store.ts";

/** Directories and files of one installation. All absolute. `config/paths.ts` computes them from the environment. */
export interface Paths {
  readonly configFile: string;
  /** Default directory of model files (TOML). */
  readonly modelConfigDir: string;
  /** Where the files of pipelines are. */
  readonly pipelinesDir: string;
  /** Pulled weights, built engines, keys. */
  readonly dataDir: string;
  /** Pulled weights. */
  readonly weightsDir: string;
  readonly enginesDir: string;
  /** Logs. */
  readonly logDir: string;
  /** Lock, run record and sockets; mode 0700, short enough for Unix sockets. */
  readonly runDir: string;
  readonly adminSocket: string;
}

export interface ListenAddress {
  readonly host: string;
  readonly port: number;
}

/** Something of a configuration file that does not do what its writer may expect. */
export interface ConfigNotice {
  readonly severity: "error" | "warning";
  readonly file: string;
  /** 1-based, or null where no line can be blamed. */
  readonly line: number | null;
  /** Dotted key, such as `scheduler.max_load`, or null. */
  readonly key: string | null;
  /** What is wrong, what was expected, what to write instead. */
  readonly message: string;
}

/** What a key may do; docs/monitoring.md says which routes each of them opens. */
export const keyScopes = ["inference", "metrics", "worker", "admin"] as const;
export type KeyScope = (typeof keyScopes)[number];

/** Hash of an API key; the key itself is never kept. */
export interface ApiKey {
  /** Shown in logs and `ps`; the tenant of requests that carry it. */
  readonly name: string;
  /** SHA-256 of the key, lower-case hex. */
  readonly sha256: string;
  /** Share of the machine relative to other tenants while all have work; 1 where it is missing. */
  readonly weight?: number;
  /** Its permissions; only `inference` if missing. */
  readonly scopes?: readonly KeyScope[];
  /** Names or aliases of the models it may use; all where it is missing. */
  readonly models?: readonly string[];
  /** Most requests at once, waiting ones among them; no limit where it is missing. */
  readonly maxInFlight?: number;
  /** Most requests that begin within any minute; no limit where it is missing. */
  readonly requestsPerMinute?: number;
  /** Most requests that begin in one day, in UTC; no limit where it is missing. */
  readonly requestsPerDay?: number;
  /** Tokens of prompts and answers; no limit where they are missing. */
  readonly tokensPerMinute?: number;
  readonly tokensPerDay?: number;
  /** What it may have stored; as much as the configuration has for all keys where they are missing. */
  readonly maxStoredMib?: number;
  readonly maxStoredRecords?: number;
  /** Of requests that name none, 0–100. */
  readonly priority?: number;
  /** From then on it opens nothing, epoch milliseconds; never where it is missing. */
  readonly expiresAt?: number;
  /** It opens nothing any more. */
  readonly isRevoked?: boolean;
  /** What its limits are counted by; its hash where it is missing. */
  readonly account?: string;
}

/** What clients may have stored. */
export interface StorageSettings {
  /** Of a key without a limit. */
  readonly perKey: Holding;
  /** Of the disk: below, nothing new is accepted that is to be stored. */
  readonly minFreeBytes: number;
  /** 0: until they are deleted. */
  readonly keepObjectsMs: number;
}

/** One `[[remote_servers]]` entry. */
export interface RemoteServer {
  /** Unique among them. */
  readonly name: string;
  readonly address: ListenAddress;
  /** Share of the work, relative to the others; 0: only where no other can. */
  readonly weight: number;
  readonly enabled: boolean;
  /** Sent with every call, or null. Never shown or logged. */
  readonly apiKey: string | null;
  /** Set if the cluster reported it, instead of a file: whether it is drained. */
  readonly isDrained?: boolean;
}

/** Before a write is acknowledged, or every second. */
export const storeSyncs = ["always", "everysec"] as const;
export type StoreSync = (typeof storeSyncs)[number];

/** Daemons that work as one. */
export interface ClusterSettings {
  /** Of Redis or Valkey, with its password. Never shown or logged. */
  readonly url: string;
  /** Of this machine. */
  readonly name: string;
  /** Its address for the others; null: where it listens. */
  readonly advertise: ListenAddress | null;
  /** Sent with every call to another, or null. Never shown or logged. */
  readonly apiKey: string | null;
  /** Milliseconds without a sign of life after which others take over its tasks. */
  readonly lostAfterMs: number;
}

/** One `[[worker_pools]]` entry. */
export interface WorkerPool {
  /** Unique among them. */
  readonly name: string;
  /** Program and arguments, in which `{port}` stands for the port. */
  readonly command: readonly string[];
  readonly capabilities: readonly Capabilities[];
  readonly workingDir: string;
  /** Processes. */
  readonly min: number;
  readonly max: number;
  /** Requests at once of one process. */
  readonly slots: number;
  readonly idleMs: number;
  readonly startTimeoutMs: number;
}

/** The whole configuration, validated and frozen. */
export interface Config {
  readonly paths: Paths;
  readonly http: ListenAddress | null;
  /** Further addresses of the same API. */
  readonly moreHttp: readonly ListenAddress[];
  readonly grpc: ListenAddress | null;
  /**
   * Whether the gRPC address was set explicitly: then it must be available, while the default one may be taken by
   * another program.
   */
  readonly grpcChosen: boolean;
  /** Machines that take work when this one is busy, or that have models which this one has not. */
  readonly remotes: readonly RemoteServer[];
  /** Services that run models elsewhere. */
  readonly providers: readonly Provider[];
  readonly apiKeys: readonly ApiKey[];
  /** Whether what is cached of one key's prompts may serve another's. */
  readonly sharePrefixes: boolean;
  /** Allowed origins in addition to local pages; `*` for all. */
  readonly corsOrigins: readonly string[];
  /** Accepted host names in addition to loopback ones and the bound address. */
  readonly allowedHosts: readonly string[];
  readonly bodyLimitBytes: number;
  /** Of one chat. */
  readonly maxMessages: number;
  /** Of one uploaded file. */
  readonly fileLimitBytes: number;
  readonly storage: StorageSettings;
  /** How long responses of the Responses API are kept; 0: none is. */
  readonly keepResponsesMs: number;
  /** How to handle a request for a model that is not configured. */
  readonly unknownModel: "refuse" | "default";
  readonly scheduler: SchedulerSettings;
  readonly tasks: TaskSettings;
  /** Capabilities of this machine, which all of its models have in addition to their own. */
  readonly capabilities: Capabilities;
  /** Workers that are started on demand. */
  readonly workerPools: readonly WorkerPool[];
  readonly conversations: ConversationSettings;
  /** When the embedded store waits for the disk. */
  readonly storeSync: StoreSync;
  /** Null: a single daemon, whose records are in the data directory. */
  readonly cluster: ClusterSettings | null;
  /** Hosts allowed for registered workers, in addition to loopback. */
  readonly workerHosts: readonly string[];
  readonly telemetry: TelemetrySettings;
  readonly models: readonly ModelSpec[];
  readonly pipelines: readonly PipelineSpec[];
  /** Address with the default pipeline at the root. */
  readonly pipelinesAddress: ListenAddress | null;
  /** Model files and keys that entries of the main file name, wherever they are. */
  readonly namedFiles: readonly string[];
  /** llama-server binary the user chose; null: the built one, then the one on the PATH. */
  readonly llamaServerPath: string | null;
  /** Whether install.sh may build a native engine in the background. */
  readonly buildInBackground: boolean;
  readonly vramReserve: VramReserve;
  /** Disk for conversations of models that are not loaded; 0: they are not kept. */
  readonly slotCacheBytes: number;
  readonly logLevel: "debug" | "info" | "warn" | "error";
  /** Whether there is a main file; without one the defaults hold. */
  readonly configFileFound: boolean;
  /** What only a restart brings into force: the values of addresses and the like, by what they are called. */
  readonly fixed: Readonly<Record<string, string>>;
  /** Warnings and per-model errors; a model with an error is left out of `models`, the others serve. */
  readonly notices: readonly ConfigNotice[];
}

/** How the instance for a request is chosen; docs/scheduler.md compares them. */
export const routingPolicies = ["expected-time", "least-outstanding", "bounded-hash", "round-robin"] as const;
export type RoutingPolicyName = (typeof routingPolicies)[number];

export interface SchedulerSettings {
  readonly maxInstances: number;
  /** Load (work in flight ÷ capacity) at which another replica starts and other nodes are used. 0–1. */
  readonly maxLoad: number;
  /** Waiting requests per model before `queue_full`. */
  readonly maxQueuedPerModel: number;
  /** Waiting requests per tenant, over all models, before `queue_full`. */
  readonly maxQueuedPerTenant: number;
  /** How the instance for a request is chosen. */
  readonly policy: RoutingPolicyName;
  /** Milliseconds after which a request is served before all that are younger, whatever their priority. */
  readonly maxWaitMs: number;
  /** Milliseconds that a model waits for the place of another one that is in use. */
  readonly maxSwapWaitMs: number;
  /** Shares of tenants relative to each other, by name; 1 where nothing is said. */
  readonly tenantWeights: ReadonlyMap<string, number>;
  /** Threads that all instances together may use. */
  readonly threadBudget: number;
  /**
   * MiB of host memory that all instances together may use for conversations without a slot; no limit where it is
   * missing.
   */
  readonly hostCacheBudgetMib?: number;
  /** Milliseconds an instance may take to start before it counts as failed. */
  readonly startTimeoutMs: number;
  /** Milliseconds that busy slots may go without any progress before their engine counts as wedged. */
  readonly wedgeAfterMs: number;
  /** Milliseconds that running requests get when an instance drains. */
  readonly drainTimeoutMs: number;
  /** This machine starts nothing more: what comes goes to other ones, or is refused. Missing: false. */
  readonly isDrained?: boolean;
}

export interface TaskSettings {
  /** Tasks of one model that run at once; null: half of its slots, so that other requests find one. */
  readonly concurrency: number | null;
  /** How often a task is tried, where it does not say. */
  readonly maxAttempts: number;
  /** Milliseconds that a task is kept after its end. */
  readonly retentionMs: number;
  /** Tasks that wait, scheduled ones among them, above which a new one is refused with `queue_full`. */
  readonly maxPending: number;
  readonly webhooks: WebhookSettings;
}

export interface ConversationSettings {
  /** Milliseconds that a conversation is kept after its last change. */
  readonly ttlMs: number;
  /** Messages, and other items, that are kept of one: the newest. */
  readonly maxItems: number;
}

export interface WebhookSettings {
  readonly timeoutMs: number;
  /** After the first try. */
  readonly retries: number;
  /** Whether they may reach addresses of this machine and of private networks. */
  readonly allowPrivate: boolean;
  /** The signing secret; null: one that is generated when first needed. Never shown or logged. */
  readonly secret: string | null;
}

/** The destination of traces, and their content. */
export interface TelemetrySettings {
  /** A collector; null: none. */
  readonly otlp: {
    /** With `/v1/traces`. */
    readonly url: string;
    /** Never shown or logged. */
    readonly headers: Readonly<Record<string, string>>;
  } | null;
  /** Langfuse; null: it gets nothing. The keys are never shown or logged. */
  readonly langfuse: { readonly baseUrl: string; readonly publicKey: string; readonly secretKey: string } | null;
  readonly serviceName: string;
  /** Further attributes of the resource. */
  readonly resource: Readonly<Record<string, string>>;
  readonly sampling: Sampling;
  /** Whether prompts and answers are recorded. */
  readonly recordsContent: boolean;
  /** How long spans wait for others to be sent with. */
  readonly batchDelayMs: number;
  /** Of one request to a collector. */
  readonly timeoutMs: number;
}

/** Which traces are recorded. */
export interface Sampling {
  readonly root: "always_on" | "always_off" | "traceidratio";
  /** Of `traceidratio`, 0–1. */
  readonly ratio: number;
  /** Whether a request that comes with a trace is recorded where its caller records it, whatever `root` says. */
  readonly followsParent: boolean;
}
