import type { Static } from "typebox";
import { Type } from "../core/schema.ts";

/** A change, or an attempt to make one. Contains no secrets and no prompts. */
export const AuditEntry = Type.Object({
  at: Type.Number({ description: "epoch milliseconds" }),
  actor: Type.String({ description: "name of the API key; `local` for this machine's own user" }),
  via: Type.Enum(["http", "grpc", "socket", "command"], { description: "socket: the Unix socket that commands use" }),
  action: Type.String({ description: "such as `key.create`, else method and route" }),
  target: Type.Union([Type.String(), Type.Null()], { description: "what was changed" }),
  status: Type.Integer({ description: "HTTP status of the answer; 200 for a command that did it itself" }),
  requestId: Type.Union([Type.String(), Type.Null()]),
});
export type AuditEntry = Static<typeof AuditEntry>;

export const AuditReport = Type.Object({
  entries: Type.Array(AuditEntry, { description: "newest first" }),
  next: Type.Union([Type.String(), Type.Null()], { description: "`after` of the next page; null on the last" }),
});
export type AuditReport = Static<typeof AuditReport>;
