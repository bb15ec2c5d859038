import { hash, timingSafeEqual } from "node:crypto";
import type { ApiKey } from "../../core/config.ts";
import { AssistantError } from "../../core/errors.ts";

/** The key of an `Authorization: Bearer` header, or null. */
export const bearerOf = (authorization: string | undefined): string | null =>
  /^Bearer +(\S+) *$/i.exec(authorization ?? "")?.[1] ?? null;

/** The key of an `X-Api-Key` header, as sent by clients of other APIs, or null. */
export const apiKeyOf = (header: string | readonly string[] | undefined): string | null =>
  typeof header === "string" && /^\S+$/.test(header) ? header : null;

/**
 * The configured key with this text. Throws `missing_api_key` or `invalid_api_key`. Every configured key is compared,
 * each in constant time, so that response times reveal nothing.
 */
export function keyOf(credential: string | null, keys: readonly ApiKey[]): ApiKey {
  if (credential === null) {
    throw new AssistantError("missing_api_key", "This daemon requires an API key, and the request has none.", {
      remedy: "Send it as `Authorization: Bearer KEY` or `X-Api-Key: KEY`.",
    });
  }
  const digest = hash("sha256", credential, "buffer");
  let found: ApiKey | null = null;
  for (const key of keys) {
    const known = bytesOf(key);
    if (known.length === digest.length && timingSafeEqual(known, digest)) found = key;
  }
  if (found !== null) return found;
  throw new AssistantError("invalid_api_key", "The API key is not one of this daemon's.", {
    remedy: "Check the key that the client sends.",
  });
}

const decoded = new WeakMap<ApiKey, Buffer>();

function bytesOf(key: ApiKey): Buffer {
  let bytes = decoded.get(key);
  if (bytes === undefined) {
    bytes = Buffer.from(key.sha256, "hex");
    decoded.set(key, bytes);
  }
  return bytes;
}
