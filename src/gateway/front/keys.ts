import { hash, timingSafeEqual } from "node:crypto";
import type { IncomingMessage } from "node:http";
import type { Socket } from "node:net";
import type { ApiKey } from "../../core/config.ts";
import { AssistantError } from "../../core/errors.ts";

/** Tenant of requests where no keys are configured, and of the Unix socket. */
export const LOCAL_TENANT = "local";

/**
 * The tenant an Authorization header stands for. Throws `missing_api_key` or `invalid_api_key`.
 * Every configured key is compared, each in constant time, so that the answer's delay tells nothing.
 */
export function tenantOf(authorization: string | undefined, keys: readonly ApiKey[]): string {
  if (keys.length === 0) return LOCAL_TENANT;
  const given = /^Bearer +(\S+) *$/i.exec(authorization ?? "")?.[1];
  if (given === undefined) {
    throw new AssistantError("missing_api_key", "This daemon asks for an API key, and the request carries none.", {
      remedy: "Send it as `Authorization: Bearer KEY`.",
    });
  }
  const digest = hash("sha256", given, "buffer");
  let tenant: string | null = null;
  for (const key of keys) {
    const known = bytesOf(key);
    if (known.length === digest.length && timingSafeEqual(known, digest)) tenant = key.name;
  }
  if (tenant === null)
    throw new AssistantError("invalid_api_key", "The API key is not one of this daemon's.", { remedy: "Check the key that the client sends." });
  return tenant;
}

/**
 * `tenantOf` for the requests of one listener. A header that a connection has already been let in with is not hashed
 * again while the keys are the same; it is compared with nothing but that connection's own.
 */
export class Doorkeeper {
  readonly #known = new WeakMap<Socket, { readonly authorization: string | undefined; readonly keys: readonly ApiKey[]; readonly tenant: string }>();

  tenantOf(socket: Socket, authorization: string | undefined, keys: readonly ApiKey[]): string {
    if (keys.length === 0) return LOCAL_TENANT;
    const known = this.#known.get(socket);
    if (known !== undefined && known.keys === keys && known.authorization === authorization) return known.tenant;
    const tenant = tenantOf(authorization, keys);
    this.#known.set(socket, { authorization, keys, tenant });
    return tenant;
  }
}

const tenants = new WeakMap<IncomingMessage, string>();

/** For requests that go on through a router, which knows nothing of tenants. */
export const rememberTenant = (request: IncomingMessage, tenant: string): void => void tenants.set(request, tenant);

/** The tenant that was remembered; the local one where none was. */
export const rememberedTenant = (request: IncomingMessage): string => tenants.get(request) ?? LOCAL_TENANT;

const decoded = new WeakMap<ApiKey, Buffer>();

function bytesOf(key: ApiKey): Buffer {
  let bytes = decoded.get(key);
  if (bytes === undefined) {
    bytes = Buffer.from(key.sha256, "hex");
    decoded.set(key, bytes);
  }
  return bytes;
}
