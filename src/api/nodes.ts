import type { Static, TSchema } from "typebox";
import { Type } from "../core/schema.ts";

const Nullable = <T extends TSchema>(schema: T) => Type.Union([schema, Type.Null()]);

/** One remote server, as this daemon sees it. Times are epoch milliseconds. */
export const NodeStatus = Type.Object({
  name: Type.String(),
  address: Type.String(),
  state: Type.Union([
    Type.Literal("up"),
    Type.Literal("down"),
    Type.Literal("connecting"),
    Type.Literal("disabled"),
    Type.Literal("drained"),
  ]),
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
  cluster: Nullable(
    Type.Object({
      name: Type.String({ description: "this machine's name in its cluster" }),
      drained: Type.Boolean({
        description: "whether it is drained: other machines send it no requests, and it starts no tasks",
      }),
      inFlight: Type.Number({ description: "requests that it works on now" }),
    }),
  ),
  nodes: Type.Array(NodeStatus),
});
export type NodesReport = Static<typeof NodesReport>;

/** Takes a machine of the cluster out of use, or back into it. */
export const NodeAction = Type.Object(
  {
    action: Type.Union([Type.Literal("drain"), Type.Literal("uncordon")]),
    node: Type.Optional(Type.String({ description: "name of a machine of the cluster; default: this one" })),
  },
  { additionalProperties: false },
);
export type NodeAction = Static<typeof NodeAction>;

export const NodeActed = Type.Object({ node: Type.String(), drained: Type.Boolean() });
export type NodeActed = Static<typeof NodeActed>;
