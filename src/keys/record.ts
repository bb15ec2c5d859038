import { hash, randomBytes } from "node:crypto";
import type { KeyOrder, KeyView } from "../api/keys.ts";
import type { ApiKey } from "../core/config.ts";
import { AssistantError } from "../core/errors.ts";
import type { CollectionSpec } from "../core/store.ts";

/** A key in the store, under its name. */
export interface KeyRecord extends Omit<KeyOrder, "name"> {
  /** SHA-256 of the secret, lower-case hex. */
  readonly sha256: string;
  readonly hint: string;
  readonly createdAt: number;
  readonly rotatedAt?: number;
  readonly revokedAt?: number;
  /** What it was before its rotation, and until when that works. */
  readonly previous?: { readonly sha256: string; readonly until: number };
}

export const keyCollection: CollectionSpec<KeyRecord> = { name: "keys", indexes: {} };

const SECRET_BYTES = 32;
const HINT_LENGTH = 4;
/** Names are shown in tables, headers and metrics. */
const NAME = /^[A-Za-z0-9][A-Za-z0-9._@-]{0,99}$/;

/** A secret of 256 random bits, with what is kept of it. */
export function newSecret(): { readonly secret: string } & Pick<KeyRecord, "sha256" | "hint"> {
  const secret = `sk-assistant-${randomBytes(SECRET_BYTES).toString("base64url")}`;
  return { secret, sha256: hash("sha256", secret, "hex"), hint: secret.slice(-HINT_LENGTH) };
}

/** The tenant of this machine's own user, whose records no key is to see. */
export const LOCAL = "local";

/** Whether a key may have the name. */
export const isKeyName = (name: string): boolean => NAME.test(name) && name !== LOCAL;

/** Throws `invalid_request` for a name or a value that no key can have. */
export function checkOrder({ name, expiresAt, ...rest }: KeyOrder, now: number): void {
  if (!NAME.test(name))
    throw new AssistantError(
      "invalid_request",
      `A key's name has 1 to 100 letters, digits and ".", "_", "@" or "-", and begins with a letter or digit; found ${JSON.stringify(name.slice(0, 100))}.`,
      { param: "name" },
    );
  if (name === LOCAL)
    throw new AssistantError("invalid_request", `"${LOCAL}" is this machine's own user; no key has that name.`, {
      param: "name",
    });
  if (expiresAt !== undefined && !(expiresAt > now))
    throw new AssistantError("invalid_request", "The time at which the key expires has passed already.", {
      param: "expiresAt",
    });
  for (const [param, value] of Object.entries(rest))
    if (Array.isArray(value) && value.length === 0)
      throw new AssistantError("invalid_request", `${param} must have at least one entry, or be omitted.`, { param });
}

/** What the doors compare requests with: more than one while a rotated secret still works. */
export function apiKeysOf(name: string, record: KeyRecord): ApiKey[] {
  const { sha256, hint: _, createdAt: _created, rotatedAt: _rotated, revokedAt, previous, ...settings } = record;
  const key = { ...settings, name, account: name, ...(revokedAt === undefined ? {} : { isRevoked: true }) };
  if (previous === undefined) return [{ ...key, sha256 }];
  const until = Math.min(previous.until, record.expiresAt ?? previous.until);
  return [
    { ...key, sha256 },
    { ...key, sha256: previous.sha256, expiresAt: until },
  ];
}

export function viewOf(name: string, record: KeyRecord, now: number): KeyView {
  const { sha256: _, previous, ...rest } = record;
  const { revokedAt, expiresAt } = record;
  const state =
    revokedAt !== undefined ? "revoked" : expiresAt !== undefined && expiresAt <= now ? "expired" : "active";
  return {
    name,
    state,
    source: "store",
    ...rest,
    ...(previous === undefined || previous.until <= now ? {} : { previousUntil: previous.until }),
  };
}

/** A key of the configuration, in the same shape. */
export function configuredView(key: ApiKey): KeyView {
  const { name, scopes, models, maxInFlight, requestsPerMinute, maxStoredMib, maxStoredRecords, weight } = key;
  return {
    name,
    state: "active",
    source: "configuration",
    hint: "",
    ...(scopes === undefined ? {} : { scopes: [...scopes] }),
    ...(models === undefined ? {} : { models: [...models] }),
    ...(maxInFlight === undefined ? {} : { maxInFlight }),
    ...(requestsPerMinute === undefined ? {} : { requestsPerMinute }),
    ...(maxStoredMib === undefined ? {} : { maxStoredMib }),
    ...(maxStoredRecords === undefined ? {} : { maxStoredRecords }),
    ...(weight === undefined ? {} : { weight }),
  };
}
