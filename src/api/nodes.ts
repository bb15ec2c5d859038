import type { Static, TSchema } from "typebox";
import { Type } from "../core/schema.ts";

const Nullable = <T extends TSchema>(schema: T) => Type.Union([schema, Type.Null()]);

/** One remote server, as this daemon sees it. Times are epoch milliseconds. */
export const NodeStatus = Type.Object({
  name: Type.String(),
  address: Type.String(),
  state: Type.Union([Type.Literal("up"), Type.Literal("down"), Type.Literal("connecting"), Type.Literal("disabled")]),
  version: Nullable(Type.String()),
  models: Type.Array(Type.String({ description: "models that it runs itself" })),
  weight: Type.Number(),
  inFlight: Type.Number({ description: "requests of ours that it works on now" }),
  requestsServed: Type.Number({ description: "requests of ours that it has answered" }),
  latencyMs: Nullable(Type.Number({ description: "recent round trip of a small call" })),
  firstByteMs: Nullable(Type.Number({ description: "recent time from a request to the first byte of its answer" })),
  lastError: Nullable(Type.String()),
  seenAt: Nullable(Type.Number({ description: "when it last answered" })),
});
export type NodeStatus = Static<typeof NodeStatus>;

export const NodesReport = Type.Object({
  nodeId: Type.String({ description: "this daemon's own id, as hop lists have it" }),
  grpc: Nullable(Type.String({ description: "address at which this daemon serves gRPC" })),
  nodes: Type.Array(NodeStatus),
});
export type NodesReport = Static<typeof NodesReport>;
