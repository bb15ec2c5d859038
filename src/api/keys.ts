import type { Static } from "typebox";
import { keyScopes } from "../core/config.ts";
import { Type } from "../core/schema.ts";

const limit = (description: string) => Type.Optional(Type.Integer({ minimum: 1, description }));

const settings = {
  scopes: Type.Optional(Type.Array(Type.Enum([...keyScopes]), { description: "what it may do; default: `inference`" })),
  models: Type.Optional(
    Type.Array(Type.String(), { description: "names or aliases of the models that it may use; default: all" }),
  ),
  expiresAt: Type.Optional(Type.Number({ description: "epoch milliseconds; default: never" })),
  maxInFlight: limit("concurrent requests, including waiting ones"),
  requestsPerMinute: Type.Optional(
    Type.Integer({ minimum: 1, maximum: 1_000_000, description: "requests within any minute" }),
  ),
  requestsPerDay: limit("requests per day (UTC)"),
  tokensPerMinute: limit("tokens of prompts and answers per minute"),
  tokensPerDay: limit("tokens of prompts and answers per day (UTC)"),
  maxStoredMib: Type.Optional(
    Type.Integer({ minimum: 0, description: "storage limit in MiB; default: `[server] max_stored_mib`" }),
  ),
  maxStoredRecords: Type.Optional(
    Type.Integer({
      minimum: 0,
      description: "maximum number of stored records; default: `[server] max_stored_records`",
    }),
  ),
  priority: Type.Optional(
    Type.Integer({ minimum: 0, maximum: 100, description: "default priority of its requests; default: 50" }),
  ),
  weight: Type.Optional(
    Type.Number({ exclusiveMinimum: 0, description: "share of the machine relative to other keys; default: 1" }),
  ),
};

/** Body of `POST /admin/keys`. */
export const KeyOrder = Type.Object({
  name: Type.String({ required: true, minLength: 1, description: "the tenant of its requests; unique" }),
  ...settings,
});
export type KeyOrder = Static<typeof KeyOrder>;

/** A key without its secret. */
export const KeyView = Type.Object({
  name: Type.String(),
  state: Type.Enum(["active", "expired", "revoked"]),
  source: Type.Enum(["store", "configuration"]),
  hint: Type.String({ description: "the last characters of the key; empty if unknown" }),
  ...settings,
  stored: Type.Optional(
    Type.Object(
      { bytes: Type.Integer(), records: Type.Integer() },
      { description: "what its requests have stored; only for a single key" },
    ),
  ),
  createdAt: Type.Optional(Type.Number({ description: "epoch milliseconds, like the times below" })),
  rotatedAt: Type.Optional(Type.Number()),
  revokedAt: Type.Optional(Type.Number()),
  previousUntil: Type.Optional(Type.Number({ description: "until then, the secret before the rotation also works" })),
});
export type KeyView = Static<typeof KeyView>;

/** A new or rotated key. The secret is not shown again. */
export const NewKey = Type.Object({ key: KeyView, secret: Type.String() });
export type NewKey = Static<typeof NewKey>;

export const KeyAction = Type.Object({
  action: Type.Enum(["revoke", "rotate"], { required: true }),
  graceS: Type.Optional(
    Type.Number({ minimum: 0, description: "seconds for which a rotated key's old secret still works; default: 0" }),
  ),
  forget: Type.Optional(
    Type.Boolean({ description: "revoke: also delete the key's record and everything that it has stored" }),
  ),
});
export type KeyAction = Static<typeof KeyAction>;
