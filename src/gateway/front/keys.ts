import { hash, timingSafeEqual } from "node:crypto";
import type { IncomingMessage } from "node:http";
import type { Socket } from "node:net";
import type { ApiKey } from "../../core/config.ts";
import { AssistantError } from "../../core/errors.ts";

/** Tenant of requests where no keys are configured, and of the Unix socket. */
const LOCAL_TENANT = "local";

/**
 * The key that an Authorization header holds; null where none is configured. Throws `missing_api_key` or `invalid_api_key`.
 * Every configured key is compared, each in constant time, so that the answer's delay tells nothing.
 */
export function keyOf(authorization: string | undefined, keys: readonly ApiKey[]): ApiKey | null {
  if (keys.length === 0) return null;
  const given = /^Bearer +(\S+) *$/i.exec(authorization ?? "")?.[1];
  if (given === undefined) {
    throw new AssistantError("missing_api_key", "This daemon asks for an API key, and the request carries none.", {
      remedy: "Send it as `Authorization: Bearer KEY`.",
    });
  }
  const digest = hash("sha256", given, "buffer");
  let found: ApiKey | null = null;
  for (const key of keys) {
    const known = bytesOf(key);
    if (known.length === digest.length && timingSafeEqual(known, digest)) found = key;
  }
  if (found === null)
    throw new AssistantError("invalid_api_key", "The API key is not one of this daemon's.", { remedy: "Check the key that the client sends." });
  return found;
}

export const tenantOf = (key: ApiKey | null): string => key?.name ?? LOCAL_TENANT;

/**
 * `keyOf` for the requests of one listener. A header that a connection has already been let in with is not hashed
 * again while the keys are the same; it is compared with nothing but that connection's own.
 */
export class Doorkeeper {
  readonly #known = new WeakMap<Socket, { readonly authorization: string | undefined; readonly keys: readonly ApiKey[]; readonly key: ApiKey | null }>();

  keyOf(socket: Socket, authorization: string | undefined, keys: readonly ApiKey[]): ApiKey | null {
    if (keys.length === 0) return null;
    const known = this.#known.get(socket);
    if (known !== undefined && known.keys === keys && known.authorization === authorization) return known.key;
    const key = keyOf(authorization, keys);
    this.#known.set(socket, { authorization, keys, key });
    return key;
  }
}

const remembered = new WeakMap<IncomingMessage, ApiKey>();

/** For requests that go on through a router, which knows nothing of keys. */
export function rememberKey(request: IncomingMessage, key: ApiKey | null): void {
  if (key !== null) remembered.set(request, key);
}

/** The key that was remembered; null where none was asked for. */
export const rememberedKey = (request: IncomingMessage): ApiKey | null => remembered.get(request) ?? null;

const decoded = new WeakMap<ApiKey, Buffer>();

function bytesOf(key: ApiKey): Buffer {
  let bytes = decoded.get(key);
  if (bytes === undefined) {
    bytes = Buffer.from(key.sha256, "hex");
    decoded.set(key, bytes);
  }
  return bytes;
}
