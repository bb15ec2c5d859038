import type { AuditEntry } from "../api/audit.ts";
import type { ModelList } from "../api/models.ts";
import type { NodeActed, NodeAction, NodesReport } from "../api/nodes.ts";
import type { ReloadReport } from "../api/reload.ts";
import type { DaemonStatus, InstanceAction } from "../api/status.ts";
import type { UsageByDay, UsageReport } from "../api/usage.ts";
import type { AuditTrail } from "../keys/audit-trail.ts";
import type { KeyRing } from "../keys/key-ring.ts";
import type { PullService } from "../models/pull-service.ts";

/** Actions on a model as a whole. */
type ModelVerb = "load" | "unload" | "restart";

/** What the admin API may ask of the daemon. Rejections are AssistantErrors. */
export interface ControlPort {
  status(): Promise<DaemonStatus>;
  /** Everything that is configured or pulled, with what its weights say. */
  models(): Promise<ModelList>;
  /** Resolves once accepted; `instance_not_found` otherwise. */
  act(instanceId: string, action: InstanceAction["action"]): Promise<void>;
  /** Resolves once accepted; `model_not_found` otherwise. */
  modelAct(name: string, action: ModelVerb): Promise<void>;
  /**
   * Has a model that is loaded stopped after this time without a request, milliseconds (null: never), until it is
   * unloaded.
   */
  keep(name: string, idleTtlMs: number | null): void;
  /** Other machines, as this daemon sees them. */
  nodes(): NodesReport;
  /** Takes a machine of the cluster out of use, or back into it. `node_not_found`, `store_unavailable` otherwise. */
  actOnNode(action: NodeAction): Promise<NodeActed>;
  /** This machine is out of use. */
  isDrained(): boolean;
  /** What each key has used. */
  usage(): UsageReport;
  /** The same by day. `from`: the first one, `YYYY-MM-DD`; `tenant`: of that key alone. */
  usageByDay(query: { readonly from: string; readonly tenant?: string }): Promise<UsageByDay>;
  /** Everything that is measured, in Prometheus' text format; with `engines` what engines measure of themselves too. */
  metrics(options: { readonly engines: boolean }): Promise<string>;
  reload(): Promise<ReloadReport>;
  /** Returns at once; the daemon drains, or with `now` ends its requests. */
  shutdown(options: { readonly now: boolean }): void;
}

/** Downloads of models, as far as the admin API needs them. */
export type PullPort = Pick<PullService, "start" | "list" | "get" | "cancel" | "follow">;

/** Stored API keys, as far as the admin API needs them. */
export type KeyPort = Pick<KeyRing, "list" | "show" | "create" | "rotate" | "revoke">;

/** Who changed what. Appending never fails: what cannot be written is reported to the log. */
export interface AuditPort extends Pick<AuditTrail, "list"> {
  append(entry: AuditEntry): void;
}

/** Read anew on every request, so that a reload takes effect. */
export interface GatewaySettings {
  /** Origins allowed besides local pages; `*` for all. */
  readonly corsOrigins: readonly string[];
  /** Host names accepted besides loopback names and IP addresses; `.example.com` takes every name below it. */
  readonly allowedHosts: readonly string[];
  readonly bodyLimitBytes: number;
  /** Hosts that workers may be on, besides loopback. Missing: none. */
  readonly workerHosts?: readonly string[];
}

/** What the header of a model's weights says. */
export interface ModelWeights {
  /** Of the file. */
  readonly bytes: number;
  readonly trainContextTokens: number | null;
  readonly parameters: number;
}

/** The slots of a model's running instances, as their engines describe them. */
export type RunningSlots = (
  model: string,
) => Promise<readonly { readonly instance: string; readonly slot: Readonly<Record<string, unknown>> }[]>;

/** A server that was registered while the daemon runs. */
export interface RegisteredServer {
  readonly id: string;
  readonly url: string;
  readonly kinds: readonly ServerKind[];
  readonly isUp: boolean;
  /** As requests name them. */
  readonly models: readonly string[];
}

/** What a server is registered for, in llama-nexus' words. */
export const serverKinds = ["chat", "embeddings", "image", "transcribe", "translate", "tts"] as const;
export type ServerKind = (typeof serverKinds)[number];

/** Servers with OpenAI's API that are taken up and let go while the daemon runs. */
export interface ServersPort {
  /**
   * Rejects with why the server cannot be used, and with `model_exists` where it is registered for one of the kinds.
   */
  register(server: {
    readonly url: string;
    readonly kinds: readonly ServerKind[];
    readonly apiKey: string | null;
  }): Promise<RegisteredServer>;
  /** Throws `instance_not_found`. */
  unregister(id: string): void;
  list(): readonly RegisteredServer[];
}
