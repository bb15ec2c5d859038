import type { Static, TSchema } from "typebox";
import { Type } from "../core/schema.ts";
import { NodeStatus } from "./nodes.ts";
import { ProviderStatus } from "./providers.ts";

/** Schemas of the admin API (`/admin/*` on the daemon's Unix socket). All times are epoch milliseconds. */

const Nullable = <T extends TSchema>(schema: T) => Type.Union([schema, Type.Null()]);

const DeathStatus = Type.Object({
  at: Type.Number(),
  cause: Type.String(),
  message: Type.String(),
  exitCode: Nullable(Type.Number()),
  signal: Nullable(Type.String()),
});

export const InstanceStatus = Type.Object({
  id: Type.String(),
  model: Type.String(),
  device: Type.String(),
  engine: Type.String(),
  state: Type.String(),
  pid: Nullable(Type.Number()),
  endpoint: Nullable(Type.String({ description: "path of a Unix socket, or 127.0.0.1:PORT" })),
  slots: Type.Number(),
  contextTokens: Type.Number({ description: "context of one slot, tokens" }),
  threads: Type.Number(),
  startedAt: Nullable(Type.Number()),
  readyAt: Nullable(Type.Number()),
  attempts: Type.Number(),
  retryAt: Nullable(Type.Number()),
  lastDeath: Nullable(DeathStatus),
  memoryBytes: Nullable(
    Type.Number({
      description: "measured bytes on its device: resident memory on a CPU, as reported by the driver on a GPU",
    }),
  ),
  estimatedMemoryBytes: Nullable(Type.Number({ description: "estimated bytes on its device with all slots full" })),
  logFile: Type.String(),
  onlyOpenAi: Type.Optional(
    Type.Boolean({
      description: "its program reports neither slots nor progress, so a hang only shows when requests fail",
    }),
  ),
  inFlight: Type.Number({ description: "running requests" }),
  load: Type.Number({ description: "work in flight ÷ capacity" }),
  decodeTokensPerSecond: Nullable(Type.Number({ description: "recent output of the instance, all slots together" })),
  prefillTokensPerSecond: Nullable(Type.Number()),
  requestsServed: Type.Number(),
  lastUsedAt: Nullable(Type.Number()),
  idleStopAt: Nullable(Type.Number()),
  pinned: Type.Boolean(),
});
export type InstanceStatus = Static<typeof InstanceStatus>;

export const ModelStatus = Type.Object({
  name: Type.String(),
  aliases: Type.Array(Type.String()),
  kind: Type.String(),
  capabilities: Type.Optional(
    Type.Record(Type.String(), Type.Union([Type.String(), Type.Number(), Type.Boolean()]), {
      description: "capabilities, as far as known",
    }),
  ),
  engine: Type.String(),
  queued: Type.Number(),
  instances: Type.Number({ description: "ready instances" }),
  coming: Type.Optional(Type.Boolean({ description: "whether an instance runs, starts or is planned" })),
  pinned: Type.Boolean(),
  replicasNote: Type.Optional(Nullable(Type.String({ description: "why it has fewer instances than `replicas`" }))),
  error: Nullable(Type.String({ description: "why the model cannot be served at the moment" })),
});
export type ModelStatus = Static<typeof ModelStatus>;

export const DeviceStatus = Type.Object({
  id: Type.String(),
  vendor: Type.String(),
  name: Type.String(),
  memoryTotalBytes: Type.Number(),
  memoryFreeBytes: Type.Number(),
  utilizationPercent: Nullable(Type.Number()),
  temperatureCelsius: Nullable(Type.Number()),
  reservedBytes: Type.Optional(Type.Number({ description: "bytes reserved from models" })),
  driverVersion: Type.Optional(Type.String()),
  exclusiveRequest: Type.Optional(Type.String({ description: "request that currently uses the device exclusively" })),
});
export type DeviceStatus = Static<typeof DeviceStatus>;

const NoticeStatus = Type.Object({
  severity: Type.String(),
  file: Type.String(),
  line: Nullable(Type.Number()),
  key: Nullable(Type.String()),
  message: Type.String(),
});

export const DaemonStatus = Type.Object({
  version: Type.String(),
  pid: Type.Number(),
  startedAt: Type.Number(),
  now: Type.Number(),
  state: Type.Union([Type.Literal("running"), Type.Literal("stopping")]),
  url: Nullable(Type.String({ description: "URL for OpenAI clients, without /v1" })),
  configFile: Type.String(),
  configFileFound: Type.Optional(Type.Boolean({ description: "whether the file exists; otherwise defaults apply" })),
  dataDir: Type.String(),
  logFile: Type.String(),
  rssBytes: Type.Number(),
  requestsServed: Type.Number(),
  queued: Type.Number(),
  models: Type.Array(ModelStatus),
  instances: Type.Array(InstanceStatus),
  devices: Type.Array(DeviceStatus),
  notices: Type.Array(NoticeStatus),
  restartSettings: Type.Optional(
    Type.Array(Type.String(), {
      description: "changed settings that take effect when the daemon is restarted",
    }),
  ),
  grpc: Type.Optional(Nullable(Type.String({ description: "address of gRPC, host:port" }))),
  nodes: Type.Optional(Type.Array(NodeStatus, { description: "remote servers" })),
  providers: Type.Optional(Type.Array(ProviderStatus, { description: "services that run models elsewhere" })),
  hints: Type.Array(Type.String({ description: "suggestions for improvement, one sentence each" })),
});
export type DaemonStatus = Static<typeof DaemonStatus>;

export const InstanceAction = Type.Object({
  action: Type.Union([Type.Literal("stop"), Type.Literal("restart"), Type.Literal("pin"), Type.Literal("unpin")]),
});
export type InstanceAction = Static<typeof InstanceAction>;

/** Every error of the admin API and the OpenAI door. */
export const ErrorBody = Type.Object({
  error: Type.Object({
    message: Type.String(),
    type: Type.String(),
    param: Nullable(Type.String()),
    code: Type.String(),
    remedy: Type.Optional(Type.String()),
    request_id: Type.Optional(Type.String()),
    // With `context_length_exceeded`, as llama-server gives them.
    n_prompt_tokens: Type.Optional(Type.Number()),
    n_ctx: Type.Optional(Type.Number()),
  }),
});
export type ErrorBody = Static<typeof ErrorBody>;
