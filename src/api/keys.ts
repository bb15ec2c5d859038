import type { Static } from "typebox";
import { keyScopes } from "../core/config.ts";
import { Type } from "../core/schema.ts";

const limit = (description: string) => Type.Optional(Type.Integer({ minimum: 1, description }));

const settings = {
  scopes: Type.Optional(Type.Array(Type.Enum([...keyScopes]), { description: "what it may do; `inference` alone" })),
  models: Type.Optional(Type.Array(Type.String(), { description: "names or aliases that it may use; all" })),
  expiresAt: Type.Optional(Type.Number({ description: "epoch milliseconds; never" })),
  maxInFlight: limit("requests at once, waiting ones among them"),
  requestsPerMinute: Type.Optional(
    Type.Integer({ minimum: 1, maximum: 1_000_000, description: "requests that begin within any minute" }),
  ),
  requestsPerDay: limit("requests that begin in one day (UTC)"),
  tokensPerMinute: limit("tokens of prompts and answers within a minute"),
  tokensPerDay: limit("tokens of prompts and answers in one day (UTC)"),
  maxStoredMib: Type.Optional(
    Type.Integer({ minimum: 0, description: "MiB of what it may have stored; `[server] max_stored_mib`" }),
  ),
  maxStoredRecords: Type.Optional(
    Type.Integer({ minimum: 0, description: "records that it may have stored; `[server] max_stored_records`" }),
  ),
  priority: Type.Optional(Type.Integer({ minimum: 0, maximum: 100, description: "of requests that name none; 50" })),
  weight: Type.Optional(
    Type.Number({ exclusiveMinimum: 0, description: "share of the machine relative to other keys; 1" }),
  ),
};

/** What `POST /admin/keys` takes. */
export const KeyOrder = Type.Object({
  name: Type.String({ required: true, minLength: 1, description: "the tenant of its requests; unique" }),
  ...settings,
});
export type KeyOrder = Static<typeof KeyOrder>;

/** A key as it is shown: everything but what would open a door. */
export const KeyView = Type.Object({
  name: Type.String(),
  state: Type.Enum(["active", "expired", "revoked"]),
  source: Type.Enum(["store", "configuration"]),
  hint: Type.String({ description: "the last characters of the key; empty where they are not known" }),
  ...settings,
  stored: Type.Optional(
    Type.Object(
      { bytes: Type.Integer(), records: Type.Integer() },
      { description: "what its requests have stored; shown of a single key" },
    ),
  ),
  createdAt: Type.Optional(Type.Number({ description: "epoch milliseconds, as the times below" })),
  rotatedAt: Type.Optional(Type.Number()),
  revokedAt: Type.Optional(Type.Number()),
  previousUntil: Type.Optional(Type.Number({ description: "until then the key from before the rotation works too" })),
});
export type KeyView = Static<typeof KeyView>;

/** The only time that a key's secret is shown. */
export const NewKey = Type.Object({ key: KeyView, secret: Type.String() });
export type NewKey = Static<typeof NewKey>;

export const KeyAction = Type.Object({
  action: Type.Enum(["revoke", "rotate"], { required: true }),
  graceS: Type.Optional(
    Type.Number({ minimum: 0, description: "seconds for which a rotated key's old secret still works; 0" }),
  ),
  forget: Type.Optional(
    Type.Boolean({ description: "revoke: delete the key's record as well, and what its requests have stored" }),
  ),
});
export type KeyAction = Static<typeof KeyAction>;
